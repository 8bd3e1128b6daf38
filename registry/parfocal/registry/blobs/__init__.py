"""Files by the sha256 of their bytes, kept so that a crash or a lie cannot spoil them."""

from parfocal.registry.blobs.adapter_folders import AdapterFolders, check_received
from parfocal.registry.blobs.durable import make_folder
from parfocal.registry.blobs.folder import Blob, BlobStore, FolderBlobs
from parfocal.registry.blobs.folder_lock import FolderLock
from parfocal.registry.blobs.staging import Staging

__all__ = [
    "AdapterFolders",
    "Blob",
    "BlobStore",
    "FolderBlobs",
    "FolderLock",
    "Staging",
    "check_received",
    "make_folder",
]
