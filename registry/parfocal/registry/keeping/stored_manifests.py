"""Finds manifests among blobs, which hold other things too."""

from parfocal.registry.blobs import Blob, BlobStore
from parfocal.registry.errors import InvalidManifest, RegistryTooNew
from parfocal.registry.values import MAX_MANIFEST_BYTES, Manifest, digest_of


def manifest_in(blobs: BlobStore, blob: Blob) -> Manifest | None:
    """The manifest that an intact blob is, or None when it is something else; raises StorageError."""
    data = manifest_bytes(blobs, blob)
    try:
        return None if data is None else Manifest.from_bytes(data)
    except (InvalidManifest, RegistryTooNew):
        return None


def manifest_bytes(blobs: BlobStore, blob: Blob) -> bytes | None:
    """The bytes of an intact blob that may be a manifest, or None; raises StorageError."""
    if blob.size > MAX_MANIFEST_BYTES:
        return None
    with blobs.open(blob.digest) as file:
        if file.read(1) != b"{":
            return None
        data = b"{" + file.read()
    return data if digest_of(data) == blob.digest else None
