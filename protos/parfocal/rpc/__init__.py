"""The conventions of the wire: errors as statuses, channels, servers, health, drain. Knows no service."""

from parfocal.rpc.admission import Room, endless
from parfocal.rpc.channel import open_blocking_channel, open_channel
from parfocal.rpc.compression import COMPRESSED_REPLIES
from parfocal.rpc.credentials import Credentials, read_api_key
from parfocal.rpc.ending import cause_of_end, when_this_task_ends
from parfocal.rpc.endpoint import Endpoint
from parfocal.rpc.errors import (
    AddressInvalid,
    AddressUnavailable,
    CredentialsInvalid,
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
from parfocal.rpc.guard import Guard, hold_to
from parfocal.rpc.key_watch import KeyWatch
from parfocal.rpc.outcomes import (
    Call,
    call_told,
    current_call,
    current_caller,
    failure_told,
    status_of,
)
from parfocal.rpc.remote import remote_error, told_error
from parfocal.rpc.server import Service, WireServer
from parfocal.rpc.status import DomainError, is_domain_error
from parfocal.rpc.surround import Context, as_reply
from parfocal.rpc.tls import (
    NOT_GRPC,
    TLS_FAILED,
    TlsFiles,
    explained,
    renewing_context,
    server_context,
    server_credentials,
)

__all__ = [
    "COMPRESSED_REPLIES",
    "NOT_GRPC",
    "TLS_FAILED",
    "AddressInvalid",
    "AddressUnavailable",
    "Call",
    "Context",
    "Credentials",
    "CredentialsInvalid",
    "DomainError",
    "Draining",
    "Endpoint",
    "FirstMessageLate",
    "Guard",
    "KeyWatch",
    "Loading",
    "MessageMissing",
    "MessageTooLarge",
    "MessageUnreadable",
    "MethodNotImplemented",
    "RemoteError",
    "Room",
    "Service",
    "TlsFiles",
    "TooManyRpcs",
    "WireError",
    "WireServer",
    "as_reply",
    "call_told",
    "cause_of_end",
    "current_call",
    "current_caller",
    "endless",
    "explained",
    "failure_told",
    "hold_to",
    "is_domain_error",
    "open_blocking_channel",
    "open_channel",
    "read_api_key",
    "remote_error",
    "renewing_context",
    "server_context",
    "server_credentials",
    "status_of",
    "told_error",
    "when_this_task_ends",
]
