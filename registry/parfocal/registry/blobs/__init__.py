"""Files by the sha256 of their bytes, and beside them the journal from which a lost index is rebuilt."""

from parfocal.registry.blobs.folder import FolderBlobs
from parfocal.registry.blobs.store import Blob, BlobStore, Journal, StagedBlob

__all__ = [
    "Blob",
    "BlobStore",
    "FolderBlobs",
    "Journal",
    "StagedBlob",
]
