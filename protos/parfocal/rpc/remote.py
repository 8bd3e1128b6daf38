"""A failed call as a domain error of our own: the way back from a rich status. Knows no service."""

from typing import cast

import grpc
from google.protobuf import message
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from parfocal.rpc.errors import RemoteError

_NAMES: dict[int, str] = {code.value[0]: code.name for code in grpc.StatusCode}


def remote_error(error: grpc.RpcError) -> RemoteError:
    """A failed call, blocking or asyncio, as a domain error with the details that the server sent."""
    return _domain_error(error.code().name, error.details() or "", _received(error))


def told_error(status: status_pb2.Status) -> RemoteError:
    """A status within a reply, as of one request of a batch, as a domain error."""
    return _domain_error(_NAMES.get(status.code, "UNKNOWN"), status.message, status)


def _domain_error(code: str, text: str, status: status_pb2.Status) -> RemoteError:
    info, fault, retry = (
        error_details_pb2.ErrorInfo(),
        error_details_pb2.BadRequest(),
        error_details_pb2.RetryInfo(),
    )
    for packed in status.details:
        for known in (info, fault, retry):
            if packed.Is(known.DESCRIPTOR):
                packed.Unpack(known)
    remote = RemoteError(text, code, info.reason or code, dict(info.metadata))
    if fault.field_violations:
        remote.field = fault.field_violations[0].field
    if retry.HasField("retry_delay"):
        remote.retry_after_s = retry.retry_delay.ToNanoseconds() / 1e9
    return remote


def _received(error: grpc.RpcError) -> status_pb2.Status:
    # Both kinds of failed call have what a Call has; the stubs promise it of neither.
    try:
        return rpc_status.from_call(cast(grpc.Call, error)) or status_pb2.Status()
    except (ValueError, message.DecodeError):  # a proxy rewrote the status: its code and message still stand
        return status_pb2.Status()
