"""What the wire itself refuses, and what came back over it. Knows no gRPC: `status` names a canonical code.

WireError
├── AddressInvalid          INVALID_ARGUMENT      not `host:port` or `unix:path`
├── AddressUnavailable      FAILED_PRECONDITION   the server cannot listen there
├── CredentialsInvalid      INVALID_ARGUMENT      a key or certificate file cannot be used
├── Draining                UNAVAILABLE           the server is stopping
├── Loading                 UNAVAILABLE           the server does not serve yet
├── FirstMessageLate        DEADLINE_EXCEEDED     the caller opened an rpc and sent nothing
├── MessageMissing          INVALID_ARGUMENT      the caller ended an rpc without a message
├── MessageTooLarge         RESOURCE_EXHAUSTED    the first message of a stream is too large
├── MessageUnreadable       INVALID_ARGUMENT      the body is not a message of the rpc's type
├── MethodNotImplemented    UNIMPLEMENTED         the server does not have this rpc
├── ReaderLate              DEADLINE_EXCEEDED     the caller stopped reading what the rpc answers
├── TooManyRpcs             RESOURCE_EXHAUSTED    the server serves as many as it may
└── RemoteError             as the server said    an rpc failed
"""

from collections.abc import Mapping


class WireError(Exception):
    """Base of everything that this package raises on purpose."""

    status: str = "INTERNAL"
    reason: str = "WIRE_ERROR"
    # Seconds after which the same call may succeed; None where trying again does not help.
    retry_after_s: float | None = None

    def __init__(self, message: str, /, **metadata: str) -> None:
        super().__init__(message)
        self.metadata: dict[str, str] = metadata
        self.field: str | None = None


class AddressInvalid(WireError):
    """The text is not an address."""

    status = "INVALID_ARGUMENT"
    reason = "ADDRESS_INVALID"


class AddressUnavailable(WireError):
    """Something else listens at the address, or it is not ours to listen at."""

    status = "FAILED_PRECONDITION"
    reason = "ADDRESS_UNAVAILABLE"


class CredentialsInvalid(WireError):
    """A key, a certificate or its private key cannot be used; the message never repeats a secret."""

    status = "INVALID_ARGUMENT"
    reason = "CREDENTIALS_INVALID"


class Draining(WireError):
    """The server finishes what it has and takes nothing new; another replica may."""

    status = "UNAVAILABLE"
    reason = "DRAINING"
    retry_after_s = 1.0  # another replica may answer at once, this one is back within seconds


class Loading(WireError):
    """The server listens, but what it serves is still being loaded; `retry_after_s` is a hint in seconds."""

    status = "UNAVAILABLE"
    reason = "LOADING"

    def __init__(self, message: str, /, *, retry_after_s: float, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.retry_after_s = retry_after_s


class FirstMessageLate(WireError):
    """The caller opened an rpc and did not send its message; the rpc was ended."""

    status = "DEADLINE_EXCEEDED"
    reason = "FIRST_MESSAGE_LATE"


class ReaderLate(WireError):
    """The caller stopped taking what an rpc answers; the rpc was ended."""

    status = "DEADLINE_EXCEEDED"
    reason = "READER_LATE"


class MessageMissing(WireError):
    """The caller ended an rpc without sending the message that it takes."""

    status = "INVALID_ARGUMENT"
    reason = "MESSAGE_MISSING"


class MessageTooLarge(WireError):
    """A stream's first message is larger than any header, or one has too many parts; it was not decoded."""

    status = "RESOURCE_EXHAUSTED"
    reason = "MESSAGE_TOO_LARGE"


class MessageUnreadable(WireError):
    """The bytes that came are not a message of the type that the rpc takes."""

    status = "INVALID_ARGUMENT"
    reason = "MESSAGE_UNREADABLE"


class MethodNotImplemented(WireError):
    """This server does not have the rpc: it is planned, or not a part of the wire at all."""

    status = "UNIMPLEMENTED"
    reason = "METHOD_NOT_IMPLEMENTED"


class TooManyRpcs(WireError):
    """The server serves as many rpcs as its settings allow; `retry_after_s` is a hint in seconds."""

    status = "RESOURCE_EXHAUSTED"
    reason = "TOO_MANY_RPCS"

    def __init__(self, message: str, /, *, retry_after_s: float, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.retry_after_s = retry_after_s


class RemoteError(WireError):
    """An rpc failed: the status, reason and details that the other side gave, as a domain error of our own.

    Without details from the other side, as when it cannot be reached, `reason` is the status.
    """

    def __init__(self, message: str, status: str, reason: str, metadata: Mapping[str, str]) -> None:
        super().__init__(message)
        self.metadata = dict(metadata)
        self.status = status
        self.reason = reason
        self.message = message
