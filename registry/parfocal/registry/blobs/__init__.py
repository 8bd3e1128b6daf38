"""Files by the sha256 of their bytes, and the journal beside them that a lost index is rebuilt from."""

from parfocal.registry.blobs.folder import FolderBlobs
from parfocal.registry.blobs.store import Blob, BlobStore, Journal

__all__ = [
    "Blob",
    "BlobStore",
    "FolderBlobs",
    "Journal",
]
