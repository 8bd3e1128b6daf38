"""What a call can end with instead of an answer. Each kind is one canonical status; `reason` says more.

ClientError
├── InvalidRequest          INVALID_ARGUMENT      a field of the request is wrong: `field` names it
├── OutOfRange              OUT_OF_RANGE          what was asked for lies beyond what there is
├── NotFound                NOT_FOUND             what was named does not exist
│   ├── AdapterNotFound     …
│   ├── VersionNotFound     …
│   ├── AliasNotFound       …
│   ├── GateNotFound        …
│   └── CanaryNotFound      …
├── Refused                 FAILED_PRECONDITION   the request is well formed and cannot be done as things are
│   ├── ContractMismatch    …                     the adapter does not fit the server's base
│   ├── AliasMoved          …                     the alias does not point where the caller expected
│   └── GateRefused         …                     the version misses a rule of the alias's gate
├── NotAuthenticated        UNAUTHENTICATED       the key is missing or unknown
├── NotAllowed              PERMISSION_DENIED     the key does not cover this
├── Overloaded              RESOURCE_EXHAUSTED    as much is under way as the server allows
├── Unavailable             UNAVAILABLE           no server answers, or it is loading or stopping
├── TimedOut                DEADLINE_EXCEEDED     the answer did not come in time
├── Cancelled               CANCELLED             the call was given up
├── NotSupported            UNIMPLEMENTED         this server does not have the rpc
├── Corrupt                 DATA_LOSS             what came is not what was published
└── ServerFailed            INTERNAL              the server failed; its log says why
"""

from collections.abc import Iterator, Mapping
from typing import ClassVar

from parfocal.rpc import RemoteError


class ClientError(Exception):
    """Base of everything that a client raises on purpose.

    `reason` is the server's word in UPPER_SNAKE (the status itself where no server of ours answered),
    `metadata` what it told beside, `field` the field of the request at fault, `retry_after_s` when another
    try may succeed, and `advice` what to do where the message does not say it.
    """

    status: ClassVar[str] = "INTERNAL"
    reason: str = "CLIENT_ERROR"
    usual_advice: ClassVar[str] = ""

    def __init__(
        self,
        message: str,
        *,
        reason: str = "",
        metadata: Mapping[str, str] | None = None,
        field: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason or type(self).reason
        self.metadata: dict[str, str] = dict(metadata or {})
        self.field = field
        self.retry_after_s = retry_after_s

    @property
    def advice(self) -> str:
        """What to do; empty if nothing general can be said.

        >>> Overloaded("the queue is full", retry_after_s=2.0).advice
        'try again in 2 s'
        """
        if self.retry_after_s is not None:
            return f"try again in {self.retry_after_s:g} s"
        return self.usual_advice


class InvalidRequest(ClientError):
    """A field of the request is wrong."""

    status = "INVALID_ARGUMENT"
    reason = "INVALID_REQUEST"
    usual_advice = "correct the request; sent again as it is, it fails again"


class OutOfRange(ClientError):
    """What was asked for lies beyond what there is."""

    status = "OUT_OF_RANGE"
    reason = "OUT_OF_RANGE"


class NotFound(ClientError):
    """What was named does not exist."""

    status = "NOT_FOUND"
    reason = "NOT_FOUND"
    usual_advice = "see what there is with: parfocal ls"


class AdapterNotFound(NotFound):
    """No adapter has this name."""

    reason = "ADAPTER_NOT_FOUND"


class VersionNotFound(NotFound):
    """The adapter has no such version."""

    reason = "VERSION_NOT_FOUND"


class AliasNotFound(NotFound):
    """The adapter has no such alias."""

    reason = "ALIAS_NOT_FOUND"


class GateNotFound(NotFound):
    """The alias carries no gate."""

    reason = "GATE_NOT_FOUND"


class CanaryNotFound(NotFound):
    """The alias has no canary."""

    reason = "CANARY_NOT_FOUND"


class Refused(ClientError):
    """The request is well formed, and cannot be done as things are."""

    status = "FAILED_PRECONDITION"
    reason = "FAILED_PRECONDITION"


class ContractMismatch(Refused):
    """The adapter does not fit the server's base."""

    reason = "CONTRACT_MISMATCH"


class AliasMoved(Refused):
    """The alias does not point where the caller expected; it was not moved."""

    reason = "ALIAS_MOVED"


class GateRefused(Refused):
    """The version misses a rule of the alias's gate; `metadata` says which, what was found and how short."""

    reason = "GATE_REFUSED"


class NotAuthenticated(ClientError):
    """The key is missing or unknown."""

    status = "UNAUTHENTICATED"
    reason = "UNAUTHENTICATED"
    usual_advice = "give the client a key that the server knows"


class NotAllowed(ClientError):
    """The key does not cover what was asked."""

    status = "PERMISSION_DENIED"
    reason = "PERMISSION_DENIED"
    usual_advice = "ask the operator for a key with the scope that is missing"


class Overloaded(ClientError):
    """As much is under way as the server allows."""

    status = "RESOURCE_EXHAUSTED"
    reason = "RESOURCE_EXHAUSTED"
    usual_advice = "ask for less at once, or try again later"


class Unavailable(ClientError):
    """No server answers, or it is loading or stopping."""

    status = "UNAVAILABLE"
    reason = "UNAVAILABLE"
    usual_advice = "start a server with: parfocal serve"


class TimedOut(ClientError):
    """The answer did not come in time."""

    status = "DEADLINE_EXCEEDED"
    reason = "DEADLINE_EXCEEDED"
    usual_advice = "give a longer timeout, or ask for fewer tokens"


class Cancelled(ClientError):
    """The call was given up before it ended."""

    status = "CANCELLED"
    reason = "CANCELLED"


class NotSupported(ClientError):
    """This server does not have the rpc."""

    status = "UNIMPLEMENTED"
    reason = "UNIMPLEMENTED"
    usual_advice = "ask a server of the client's own version"


class Corrupt(ClientError):
    """What came is not what was published."""

    status = "DATA_LOSS"
    reason = "DATA_LOSS"


class ServerFailed(ClientError):
    """The server failed; its log says why."""

    status = "INTERNAL"
    reason = "INTERNAL"


def client_error(remote: RemoteError) -> ClientError:
    """The error of the kind that a failed call's reason or status names.

    Where gRPC itself speaks, as when nobody listens, the message says what to do as well.
    """
    kind = _kind(remote)
    message, is_ours = str(remote), remote.reason != remote.status
    if not is_ours and kind.usual_advice:
        message = f"{message}; {kind.usual_advice}"
    return kind(
        message,
        reason=remote.reason,
        metadata=remote.metadata,
        field=remote.field,
        retry_after_s=remote.retry_after_s,
    )


def _kind(remote: RemoteError) -> type[ClientError]:
    """The narrowest kind with the failure's reason, else the one with its status."""
    kinds = [kind for kind in _below(ClientError) if kind.status == remote.status]
    exact = [kind for kind in kinds if kind.reason == remote.reason]
    return next(iter([*exact, *kinds]), ServerFailed)


def _below(kind: type[ClientError]) -> Iterator[type[ClientError]]:
    for narrower in kind.__subclasses__():
        yield narrower
        yield from _below(narrower)
