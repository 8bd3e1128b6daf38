"""The protocol of the Hugging Face Hub: what its clients read and write by changing an address."""

from parfocal.registry.faces.hub.access import HUB_ROUTES
from parfocal.registry.faces.hub.app import HubApp
from parfocal.registry.faces.hub.uploading import UploadStore

__all__ = [
    "HUB_ROUTES",
    "HubApp",
    "UploadStore",
]
