"""Manifests as the fields of a message: small ones written here, large ones in a process of their own."""

import logging

from parfocal.registry.isolation import Bounds, IsolatedProcess, OutOfBounds, ProcessFailed
from parfocal.registry.values import MAX_MANIFEST_BYTES, Recent, Version, digest_of
from parfocal.registry.wire.messages import manifest_message

log = logging.getLogger(__name__)

# Some 700 modules, which take 15 ms.
_LARGE_BYTES = 64 << 10
_BOUNDS = Bounds(cpu_s=30, memory_bytes=1 << 30)
_KEPT_BYTES = 64 << 20
_ENTRY_BYTES = 200


class ManifestFields:
    """The manifests of versions as bytes of the message Manifest, empty where there is none.

    There is none of a manifest that cannot be read, or that is larger than what is published today. Any
    thread may call; the newest answers are kept.
    """

    def __init__(self) -> None:
        self._process = IsolatedProcess("parfocal.registry.wire.isolated")
        self._kept: Recent[str, bytes] = Recent(_KEPT_BYTES)

    def __call__(self, version: Version) -> bytes:
        kept = self._kept.get(version.digest)
        if kept is None:
            kept = self._written(version)
            self._kept.put(version.digest, kept, _ENTRY_BYTES + len(kept))
        return kept

    def take_long(self, version: Version) -> bool:
        """Whether the fields of this version must be waited for."""
        return len(version.manifest_bytes) > _LARGE_BYTES and self._kept.get(version.digest) is None

    def close(self) -> None:
        """Ends the process."""
        self._process.close()

    def _written(self, version: Version) -> bytes:
        if len(version.manifest_bytes) > MAX_MANIFEST_BYTES:
            return b""
        if len(version.manifest_bytes) <= _LARGE_BYTES:
            return _fields(version) if version.fault is None else b""
        return self._read_aside(version)

    def _read_aside(self, version: Version) -> bytes:
        if digest_of(version.manifest_bytes) != version.digest:
            return b""
        try:
            fields = self._process.ask(version.manifest_bytes, _BOUNDS)
        except (OutOfBounds, ProcessFailed) as error:
            log.warning("the manifest of %s is sent as it is stored, without its fields: %s", version, error)
            return b""
        if fields:
            version.found_readable()
        return fields


def _fields(version: Version) -> bytes:
    try:
        return manifest_message(version.manifest).SerializeToString()
    except ValueError:  # a number of more bits than its field, as was once accepted
        return b""
