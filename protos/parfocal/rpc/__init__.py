"""The conventions of the wire: errors as statuses, channels, servers, health, drain. Knows no service."""

from parfocal.rpc.admission import Room, endless
from parfocal.rpc.channel import open_blocking_channel, open_channel
from parfocal.rpc.errors import (
    AddressInvalid,
    AddressUnavailable,
    Draining,
    FirstMessageLate,
    Loading,
    MessageMissing,
    MessageTooLarge,
    MessageUnreadable,
    MethodNotImplemented,
    RemoteError,
    TooManyRpcs,
    WireError,
)
from parfocal.rpc.outcomes import Call, call_told, current_call, failure_told, status_of
from parfocal.rpc.remote import remote_error
from parfocal.rpc.server import Service, WireServer
from parfocal.rpc.status import DomainError, is_domain_error
from parfocal.rpc.surround import Context
from parfocal.rpc.written import as_reply

__all__ = [
    "AddressInvalid",
    "AddressUnavailable",
    "Call",
    "Context",
    "DomainError",
    "Draining",
    "FirstMessageLate",
    "Loading",
    "MessageMissing",
    "MessageTooLarge",
    "MessageUnreadable",
    "MethodNotImplemented",
    "RemoteError",
    "Room",
    "Service",
    "TooManyRpcs",
    "WireError",
    "WireServer",
    "as_reply",
    "call_told",
    "current_call",
    "endless",
    "failure_told",
    "is_domain_error",
    "open_blocking_channel",
    "open_channel",
    "remote_error",
    "status_of",
]
