"""The conventions of the wire: errors as statuses, channels, servers, health, drain. Knows no service."""

from parfocal.rpc.access import Call, current_call
from parfocal.rpc.channel import open_blocking_channel, open_channel
from parfocal.rpc.drain import DrainInterceptor
from parfocal.rpc.errors import (
    AddressInvalid,
    AddressUnavailable,
    Draining,
    Loading,
    MessageUnreadable,
    MethodNotImplemented,
    RemoteError,
    WireError,
)
from parfocal.rpc.interceptor import ErrorInterceptor
from parfocal.rpc.options import MAX_MESSAGE_BYTES
from parfocal.rpc.remote import remote_error
from parfocal.rpc.server import Service, WireServer
from parfocal.rpc.surround import Context

__all__ = [
    "MAX_MESSAGE_BYTES",
    "AddressInvalid",
    "AddressUnavailable",
    "Call",
    "Context",
    "DrainInterceptor",
    "Draining",
    "ErrorInterceptor",
    "Loading",
    "MessageUnreadable",
    "MethodNotImplemented",
    "RemoteError",
    "Service",
    "WireError",
    "WireServer",
    "current_call",
    "open_blocking_channel",
    "open_channel",
    "remote_error",
]
