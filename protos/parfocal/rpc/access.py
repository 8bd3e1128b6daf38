"""One log line per rpc: caller, method, duration, and how it ended. Knows no service.

Servicers add to their rpc's line through `current_call`. What callers send and get, prompts and answers, is
never logged.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass, field

import grpc

from parfocal.rpc.surround import Context, Continuation, RpcMethod, surround

log = logging.getLogger("parfocal.access")

# Not the caller's fault, so the cause is logged too.
SERVER_FAULTS = frozenset({"INTERNAL", "DATA_LOSS", "UNKNOWN"})


@dataclass(slots=True)
class Call:
    """One rpc's log line. `facts` are its further fields, in order."""

    method: str
    peer: str = ""
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: str = "OK"
    reason: str = ""
    facts: dict[str, str | int | float] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)


_call: ContextVar[Call] = ContextVar("parfocal-call")


def current_call() -> Call:
    """Returns the rpc that this task serves; outside any, one that is not logged."""
    return _call.get(None) or Call("none")


class AccessInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Logs every rpc when it has ended; those of gRPC's own services, which probes call, at DEBUG only."""

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """Returns the rpc inside the scope that logs it."""
        rpc = await continuation(handler_call_details)
        return rpc and surround(rpc, handler_call_details.method, _logged)


@contextlib.asynccontextmanager
async def _logged(method: str, context: Context) -> AsyncIterator[None]:
    call = Call(method.removeprefix("/"), context.peer())
    # Never reset: gRPC serves each rpc in a task of its own, whose variables end with it.
    _call.set(call)
    try:
        yield
    except grpc.aio.AbortError:
        call.status = grpc.StatusCode(context.code()).name
        raise
    except (asyncio.CancelledError, GeneratorExit):  # the caller went away
        left = context.time_remaining()
        call.status = "DEADLINE_EXCEEDED" if left is not None and left <= 0 else "CANCELLED"
        raise
    finally:
        _write(call)


def _write(call: Call) -> None:
    level = _level(call)
    if log.isEnabledFor(level):
        log.log(level, call.method, extra={"facts": _facts(call)})


def _level(call: Call) -> int:
    if call.method.startswith("grpc."):
        return logging.DEBUG
    return logging.ERROR if call.status in SERVER_FAULTS else logging.INFO


def _facts(call: Call) -> dict[str, str | int | float]:
    ended: dict[str, str | int | float] = {"status": call.status}
    if call.reason and call.reason != call.status:
        ended["reason"] = call.reason
    seconds = round(time.monotonic() - call.begun, 4)
    return {"request_id": call.request_id, **ended, **call.facts, "total_s": seconds, "peer": call.peer}
