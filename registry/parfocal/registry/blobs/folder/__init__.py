"""Blobs as files in a folder, and their journal as a file of lines."""

from parfocal.registry.blobs.folder.blobs import FolderBlobs
from parfocal.registry.blobs.folder.journal import FileJournal

__all__ = [
    "FileJournal",
    "FolderBlobs",
]
