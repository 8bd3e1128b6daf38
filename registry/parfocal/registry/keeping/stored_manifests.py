"""Finds manifests among blobs, which hold other things too."""

import re
from dataclasses import dataclass

from parfocal.registry.blobs import Blob, BlobStore
from parfocal.registry.errors import BlobCorrupt, InvalidManifest, RegistryTooNew
from parfocal.registry.values import MAX_STORED_MANIFEST_BYTES, Manifest, digest_of

_DIGEST = re.compile(rb"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Needed:
    """The digests of the files that a version needs, and why its manifest cannot be read, if it cannot."""

    digests: frozenset[str]
    fault: str = ""


def needed_by(data: bytes) -> Needed:
    """What a version with this manifest needs.

    Of a manifest that cannot be read, everything that looks like a digest: what is not understood is kept.
    """
    try:
        return Needed(frozenset(entry.digest for entry in Manifest.from_bytes(data).files))
    except (InvalidManifest, RegistryTooNew) as error:
        return Needed(frozenset(found.decode() for found in _DIGEST.findall(data)), str(error))


def manifest_in(blobs: BlobStore, blob: Blob) -> Manifest | None:
    """The manifest that an intact blob is, or None when it is something else; raises StorageError."""
    data = manifest_bytes(blobs, blob)
    try:
        return None if data is None else Manifest.from_bytes(data)
    except (InvalidManifest, RegistryTooNew):
        return None


def manifest_with(blobs: BlobStore, digest: str) -> bytes | None:
    """The bytes of the manifest with this digest, or None where its blob is gone or rotten."""
    size = blobs.size(digest)
    return None if size is None else manifest_bytes(blobs, Blob(digest, size))


def manifest_bytes(blobs: BlobStore, blob: Blob) -> bytes | None:
    """The bytes of an intact blob that may be a manifest, or None; raises StorageError."""
    if blob.size > MAX_STORED_MANIFEST_BYTES:
        return None
    try:
        with blobs.open(blob.digest) as file:
            if file.read(1) != b"{":
                return None
            data = b"{" + file.read()
    except BlobCorrupt:
        return None
    return data if digest_of(data) == blob.digest else None
