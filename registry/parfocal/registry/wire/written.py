"""Replies with manifests, written as bytes: a message of megabytes takes as long to copy as to make."""

from collections.abc import Iterable

from parfocal.registry.values import Alias, Version
from parfocal.registry.wire.messages import bare_version_message
from parfocal.v1 import adapter_pb2, registry_service_pb2

_DELIMITED = 2  # the wire type of bytes and of messages in messages


def version_bytes(version: Version, aliases: Iterable[Alias], fields: bytes) -> bytes:
    """The bytes of the message Version; `fields` are its manifest's, empty for none."""
    parts = [bare_version_message(version, aliases).SerializeToString()]
    if fields:
        parts += _field(adapter_pb2.Version.MANIFEST_FIELD_NUMBER, fields)
    parts += _field(adapter_pb2.Version.MANIFEST_JSON_FIELD_NUMBER, version.manifest_bytes)
    return b"".join(parts)


def versions_bytes(
    versions: Iterable[bytes], next_page_token: str, applied_filters: Iterable[str] = ()
) -> bytes:
    """The bytes of the message ListVersionsResponse, of those of its versions."""
    number = registry_service_pb2.ListVersionsResponse.VERSIONS_FIELD_NUMBER
    parts = [part for version in versions for part in _field(number, version)]
    rest = registry_service_pb2.ListVersionsResponse(
        next_page_token=next_page_token, applied_filters=applied_filters
    )
    return b"".join([*parts, rest.SerializeToString()])


def first_of_download_bytes(version: bytes) -> bytes:
    """The bytes of the message DownloadVersionResponse, of those of its version."""
    return b"".join(_field(registry_service_pb2.DownloadVersionResponse.VERSION_FIELD_NUMBER, version))


def _field(number: int, data: bytes) -> list[bytes]:
    return [_varint(number << 3 | _DELIMITED), _varint(len(data)), data]


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; all but the last byte with the top bit set."""
    digits = bytearray()
    while value > 0x7F:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])
