"""A domain error as a rich status (google.rpc.Status with ErrorInfo, AIP-193). Knows no service."""

from collections.abc import Iterable, Mapping
from typing import Protocol, TypeGuard, runtime_checkable

import grpc
from google.protobuf import any_pb2, message
from google.rpc import error_details_pb2, status_pb2

DOMAIN = "parfocal"

# Stock clients read 8 KiB of trailing metadata and lose the whole status beyond. The message travels twice:
# percent-encoded (at worst three bytes for one) and, with all details, in base64 (four for three): 7 KiB.
_MESSAGE_BYTES = 1000
_METADATA_BYTES = 1000
_DESCRIPTION_BYTES = 300
_FIELD_BYTES = 100

_CODES = {code.name: code for code in grpc.StatusCode if code is not grpc.StatusCode.OK}


@runtime_checkable
class DomainError(Protocol):
    """What an exception has that may be shown to a caller.

    It may also have `metadata: dict[str, str]`, `field: str | None` (the request's field at fault) and
    `retry_after_s: float | None`.
    """

    @property
    def status(self) -> str:
        """Name of a canonical code, for example `NOT_FOUND`."""

    @property
    def reason(self) -> str:
        """Identifier in UPPER_SNAKE, for example `ADAPTER_NOT_FOUND`."""


def is_domain_error(error: object) -> TypeGuard[DomainError]:
    """Whether `error` names a canonical code; the `status` of other libraries' errors does not."""
    return isinstance(error, DomainError) and isinstance(error.status, str) and error.status in _CODES


def rich_status(error: DomainError) -> status_pb2.Status:
    """The status of a domain error: code, message and details, cut to what clients accept."""
    text = _cut(str(error), _MESSAGE_BYTES)
    return status_pb2.Status(
        code=_CODES[error.status].value[0],
        message=text,
        details=[_packed(part) for part in _details(error, text)],
    )


def _details(error: DomainError, text: str) -> Iterable[message.Message]:
    metadata = _within(getattr(error, "metadata", None) or {}, _METADATA_BYTES)
    yield error_details_pb2.ErrorInfo(domain=DOMAIN, reason=error.reason, metadata=metadata)
    if field := getattr(error, "field", None):
        description = _cut(text, _DESCRIPTION_BYTES)
        violation = error_details_pb2.BadRequest.FieldViolation(
            field=_cut(field, _FIELD_BYTES), description=description
        )
        yield error_details_pb2.BadRequest(field_violations=[violation])
    if (retry_after_s := getattr(error, "retry_after_s", None)) is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromNanoseconds(round(retry_after_s * 1e9))
        yield retry


def _within(metadata: Mapping[str, str], limit: int) -> dict[str, str]:
    kept: dict[str, str] = {}
    for key, value in metadata.items():
        limit -= len(key.encode("utf-8", "replace"))
        if limit <= 0:
            break
        kept[key] = _cut(str(value), limit)
        limit -= len(kept[key].encode("utf-8"))
    return kept


def _cut(text: str, limit: int) -> str:
    """At most `limit` bytes of whole characters; lone surrogates, as in odd paths, become `?`."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= limit:
        return encoded.decode("utf-8")
    return encoded[: max(limit - 3, 0)].decode("utf-8", "ignore") + "…" if limit >= 3 else ""


def _packed(part: message.Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(part)
    return packed
