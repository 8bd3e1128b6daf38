"""Blobs and their journal as objects in a bucket, or whatever else fsspec reaches."""

from parfocal.registry.blobs.objects.blobs import ObjectBlobs
from parfocal.registry.blobs.objects.bucket import Bucket, Waits
from parfocal.registry.blobs.objects.journal import ObjectJournal
from parfocal.registry.blobs.objects.opening import open_bucket

__all__ = [
    "Bucket",
    "ObjectBlobs",
    "ObjectJournal",
    "Waits",
    "open_bucket",
]
