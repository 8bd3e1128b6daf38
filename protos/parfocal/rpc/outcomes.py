"""How each rpc ends: an error becomes a status with details, and one log line tells it. Knows no service.

The line has caller, the id of its API key, method, duration and status; servicers add to it through
`current_call`. What callers send and get, prompts and answers, is never logged.
"""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial

import grpc
from google.rpc import status_pb2
from grpc_status import rpc_status

from parfocal.rpc.access import NOBODY, AccessError, Caller
from parfocal.rpc.ending import cause_of_end, when_this_task_ends
from parfocal.rpc.status import DomainError, is_domain_error, rich_status
from parfocal.rpc.surround import Context, Continuation, RpcMethod, surround

log = logging.getLogger(__name__)
access_log = logging.getLogger("parfocal.access")

# How long an rpc that is ended from outside stays for its caller to take the status.
_TAKEN_S = 1.0

# Not the caller's fault, so the cause is logged too.
SERVER_FAULTS = frozenset({"INTERNAL", "DATA_LOSS", "UNKNOWN"})


@dataclass(slots=True)
class Call:
    """An rpc, or a request of another face: who calls, and its log line. `facts` are its further fields.

    `key` is the id of a key that was refused; that of one that was let in is the caller's.
    """

    method: str
    peer: str = ""
    request_id: str = field(default_factory=lambda: uuid.uuid4().hex)
    status: str = "OK"
    reason: str = ""
    key: str = ""
    caller: Caller = NOBODY
    facts: dict[str, str | int | float] = field(default_factory=dict)
    begun: float = field(default_factory=time.monotonic)

    @property
    def is_rpc(self) -> bool:
        """Whether it is one; other faces name a method of HTTP and a path."""
        return " " not in self.method


_call: ContextVar[Call] = ContextVar("parfocal-call")


def current_call() -> Call:
    """The rpc that this task serves; outside any, one that is not logged."""
    return _call.get(None) or Call("none")


def current_caller() -> Caller:
    """Who called what this task serves; outside any request, and in threads that it uses, nobody."""
    return current_call().caller


@contextlib.asynccontextmanager
async def call_told(call: Call) -> AsyncIterator[None]:
    """The scope of a request of any face: `current_call` within it, one log line when it has ended."""
    # Never reset: each request is served in a task of its own, whose variables end with it.
    _call.set(call)
    try:
        yield
    finally:
        _write(call)


def failure_told(error: BaseException, call: Call) -> DomainError:
    """What a caller may know of an error; its cause is logged where it is not the caller's fault."""
    shown = error if is_domain_error(error) else _Unexpected()
    call.status = shown.status
    if isinstance(error, AccessError):
        call.key = error.metadata.get("key", "")
    _tell(error, shown, call)
    return shown


def status_of(error: BaseException) -> status_pb2.Status:
    """What one part of an rpc ended with, where its other parts go on; logged as an rpc's end would be."""
    return rich_status(failure_told(error, current_call()))


class OutcomeInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Logs every rpc when it has ended; those of gRPC's own services, which probes call, at DEBUG only.

    One that raises a domain error ends with that error's status and details. Any other exception is INTERNAL:
    the caller gets only an id. Its traceback, and that of every domain error which is INTERNAL or DATA_LOSS,
    is logged under that id and the request's. Cancellation passes through untouched.

    Whoever calls is `everybody`, until it is found out who it is.
    """

    def __init__(self, everybody: Caller) -> None:
        self._everybody = everybody

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """The rpc inside the scope that ends and logs it."""
        method = handler_call_details.method
        # gRPC asks in the task that will serve the rpc.
        _call.set(Call(method.removeprefix("/"), caller=self._everybody))
        rpc = await continuation(handler_call_details)
        return rpc and surround(rpc, method, _told)


@contextlib.asynccontextmanager
async def _told(method: str, context: Context) -> AsyncIterator[None]:
    async with _logged(context), _errors_as_statuses(context):
        yield


@contextlib.asynccontextmanager
async def _logged(context: Context) -> AsyncIterator[None]:
    call = current_call()
    call.peer = context.peer()
    async with call_told(call):
        try:
            yield
        except grpc.aio.AbortError as error:
            when_this_task_ends(partial(_forget_its_way, error))
            call.status = grpc.StatusCode(context.code()).name
            raise
        except (asyncio.CancelledError, GeneratorExit):  # the caller went away
            left = context.time_remaining()
            call.status = "DEADLINE_EXCEEDED" if left is not None and left <= 0 else "CANCELLED"
            raise


def _forget_its_way(error: BaseException) -> None:
    """Lets go of the frames that it went through: they hold the rpc, and the rpc this error.

    In such a cycle each failed rpc waits for the garbage collector, and gRPC counts its stream as open.
    """
    error.__traceback__ = error.__context__ = error.__cause__ = None


@contextlib.asynccontextmanager
async def _errors_as_statuses(context: Context) -> AsyncIterator[None]:
    try:
        yield
    except grpc.aio.AbortError:  # the rpc has already ended itself with a status
        raise
    except asyncio.CancelledError:  # its caller went away, or it was ended with a cause
        cause = cause_of_end()
        if cause is None:
            raise
        await _end_soon(cause, context)
    except Exception as error:  # the wire's one broad except: whatever it is, it ends only this rpc
        await _end(error, context)


async def _end_soon(cause: Exception, context: Context) -> None:
    """Ends the rpc where a message may still wait for its caller, and the status behind it.

    gRPC keeps both for whoever reads on later; what serves the rpc does not wait for that.
    """
    try:
        async with asyncio.timeout(_TAKEN_S):
            await _end(cause, context)
    except TimeoutError as error:
        raise asyncio.CancelledError from error


async def _end(error: Exception, context: Context) -> None:
    status = rpc_status.to_status(status_of(error))
    trailing = (*(context.trailing_metadata() or ()), *status.trailing_metadata)
    # The rpc may have ended itself and been cut off while it did so: then the status that it sent stands.
    with contextlib.suppress(grpc.aio.UsageError):
        await context.abort(status.code, status.details, trailing)


def _tell(error: BaseException, shown: DomainError, call: Call) -> None:
    """Notes how the request ends, and logs in full what is not the caller's fault."""
    call.reason = shown.reason
    if shown.status not in SERVER_FAULTS:
        return
    what = f"/{call.method} failed" if call.is_rpc else f"{call.method} failed"
    if isinstance(shown, _Unexpected):
        call.facts["error_id"] = shown.metadata["error_id"]
        what += f" unexpectedly, error id {shown.metadata['error_id']}"
    facts = {"request_id": call.request_id, "status": shown.status}
    log.error(what, exc_info=error, extra={"facts": facts})


def _write(call: Call) -> None:
    level = _level(call)
    if access_log.isEnabledFor(level):
        access_log.log(level, call.method, extra={"facts": _facts(call)})


def _level(call: Call) -> int:
    if call.method.startswith("grpc."):
        return logging.DEBUG
    return logging.ERROR if call.status in SERVER_FAULTS else logging.INFO


def _facts(call: Call) -> dict[str, str | int | float]:
    ended: dict[str, str | int | float] = {"status": call.status}
    if call.reason and call.reason != call.status:
        ended["reason"] = call.reason
    if key := call.caller.key_id or call.key:
        ended["key"] = key
    seconds = round(time.monotonic() - call.begun, 4)
    return {"request_id": call.request_id, **ended, **call.facts, "total_s": seconds, "peer": call.peer}


class _Unexpected(Exception):
    """Replaces an exception that callers must not see."""

    status = "INTERNAL"
    reason = "INTERNAL"

    def __init__(self) -> None:
        error_id = uuid.uuid4().hex[:12]
        super().__init__(f"the server failed to do this; see error id {error_id} in its log")
        self.metadata = {"error_id": error_id, "request_id": current_call().request_id}
