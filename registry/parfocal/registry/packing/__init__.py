"""What goes with an adapter's files so that it is the same version elsewhere: its manifest and signatures."""

from parfocal.registry.packing.fitting import Packed, fitting, fitting_manifest, read_packed
from parfocal.registry.packing.names import MANIFEST_FILE, is_packed_file, signature_files, signature_names

__all__ = [
    "MANIFEST_FILE",
    "Packed",
    "fitting",
    "fitting_manifest",
    "is_packed_file",
    "read_packed",
    "signature_files",
    "signature_names",
]
