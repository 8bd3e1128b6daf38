"""Waits until a server serves. Knows no terminal."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from parfocal.cli.reach import endpoint
from parfocal.rpc import NOT_GRPC, TLS_FAILED, RemoteError, explained, open_blocking_channel, remote_error

_PAUSE_S = 0.2
_HOPELESS = (TLS_FAILED, NOT_GRPC)
_NOBODY = "UNAVAILABLE"


@dataclass(frozen=True, slots=True)
class Patience:
    """For how long to wait, in seconds: for a server that nobody has seen or that has gone, and in all."""

    absent_s: float = 120.0
    # A base of some billion weights takes minutes to load.
    most_s: float = 900.0

    @classmethod
    def of(cls, limit_s: float | None) -> "Patience":
        """The same limit for both; the usual ones without any."""
        return cls() if limit_s is None else cls(limit_s, limit_s)


def wait_until_serving(
    address: str, patience: Patience = Patience(), tell: Callable[[str], None] | None = None
) -> None:
    """Waits until the server at `address` reports that it serves; `tell` hears what it waits for.

    Raises RemoteError when `patience` ends, and immediately if something else answers there, or TLS fails.
    """
    begun = seen = time.monotonic()
    while True:
        until = min(seen + patience.absent_s, begun + patience.most_s)
        obstacle = _obstacle(address, until)
        now = time.monotonic()
        if obstacle is None:
            return
        if not obstacle.is_absent:
            seen = now
            until = begun + patience.most_s
        if now >= until:
            raise _not_ready(address, now - begun, obstacle)
        if tell is not None:
            tell(f"{obstacle.said} ({now - begun:.0f} s, at most {until - begun:.0f} s)")
        time.sleep(min(_PAUSE_S, until - now))


@dataclass(frozen=True, slots=True)
class _Obstacle:
    """Why a server does not serve yet; `is_absent` if nobody has answered."""

    said: str
    is_absent: bool


def _not_ready(address: str, waited_s: float, obstacle: _Obstacle) -> RemoteError:
    advice = (
        "start one with parfocal serve, or see in its log why it ended"
        if obstacle.is_absent
        else "its log says what it does; give it longer with --wait-for SECONDS"
    )
    return RemoteError(
        f"no server was ready at {address} within {waited_s:.3g} s: {obstacle.said}; {advice}",
        "DEADLINE_EXCEEDED",
        "SERVER_NOT_READY",
        {},
    )


def _obstacle(address: str, until: float) -> _Obstacle | None:
    """Asks once; uses a new channel each time: a failed one waits longer before each retry."""
    server = endpoint(address)
    with open_blocking_channel(server) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        try:
            reply = check(health_pb2.HealthCheckRequest(), timeout=max(0.1, until - time.monotonic()))
        except grpc.RpcError as error:
            failed = explained(remote_error(error), server)
            if failed.reason in _HOPELESS or failed.status not in (_NOBODY, "DEADLINE_EXCEEDED"):
                raise failed from error
            # Without a reason of our own, it is gRPC that speaks, and not a server.
            is_absent = failed.reason == failed.status
            return _Obstacle("nobody answers" if is_absent else str(failed), is_absent)
    if reply.status == health_pb2.HealthCheckResponse.SERVING:
        return None
    return _Obstacle("it answers and does not serve yet", is_absent=False)
