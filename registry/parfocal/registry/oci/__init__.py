"""Versions as OCI image layouts with the media types of CNCF ModelPack: written, and read back verified."""

from parfocal.registry.oci.reading import Image, read_layout
from parfocal.registry.oci.writing import write_layout

__all__ = ["Image", "read_layout", "write_layout"]
