"""What happens around every rpc: errors become statuses, and a draining server refuses. Knows no service."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import grpc
from grpc_status import rpc_status

from parfocal.rpc.errors import Draining
from parfocal.rpc.status import is_domain_error, rich_status
from parfocal.rpc.surround import Context, RpcMethod, surround

_log = logging.getLogger(__name__)

Continuation = Callable[[grpc.HandlerCallDetails], Awaitable[RpcMethod]]


class ErrorInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Ends an rpc that raises a domain error with that error's status and details.

    Any other exception is INTERNAL: the traceback is logged under an id, and the caller gets only the id.
    Cancellation passes through untouched.
    """

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """Returns the rpc inside the scope that turns errors into statuses."""
        rpc = await continuation(handler_call_details)
        return rpc and surround(rpc, handler_call_details.method, _errors_as_statuses)


class DrainInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Counts the rpcs under way and, once draining, refuses new ones with Draining.

    gRPC's own services (health, reflection) pass uncounted: a balancer watches health for ever.
    """

    def __init__(self) -> None:
        self._draining = False
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def under_way(self) -> int:
        """How many rpcs are being served now."""
        return self._under_way

    def drain(self) -> None:
        """Refuses every rpc from now on; those under way go on."""
        self._draining = True

    async def wait_idle(self) -> None:
        """Returns when no rpc is under way."""
        await self._idle.wait()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """Returns the rpc inside the scope that counts or refuses it."""
        rpc = await continuation(handler_call_details)
        if rpc is None or handler_call_details.method.startswith("/grpc."):
            return rpc
        return surround(rpc, handler_call_details.method, self._counted)

    @contextlib.asynccontextmanager
    async def _counted(self, method: str, context: Context) -> AsyncIterator[None]:
        if self._draining:
            raise Draining(
                "This server is stopping and takes no new requests; try again, another one may answer."
            )
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if self._under_way == 0:
                self._idle.set()


@contextlib.asynccontextmanager
async def _errors_as_statuses(method: str, context: Context) -> AsyncIterator[None]:
    try:
        yield
    except grpc.aio.AbortError:  # the rpc has already ended itself with a status
        raise
    except Exception as error:  # the wire's one broad except: whatever it is, it ends this rpc only
        await _end(error, method, context)


async def _end(error: Exception, method: str, context: Context) -> None:
    shown = error if is_domain_error(error) else _hidden(error, method)
    status = rpc_status.to_status(rich_status(shown))
    trailing = (*(context.trailing_metadata() or ()), *status.trailing_metadata)
    await context.abort(status.code, status.details, trailing)


class _Unexpected(Exception):
    """Stands for an exception that callers must not see."""

    status = "INTERNAL"
    reason = "INTERNAL"

    def __init__(self, error_id: str) -> None:
        super().__init__(f"The server failed to do this. Its log tells more under error id {error_id}.")
        self.metadata = {"error_id": error_id}


def _hidden(error: Exception, method: str) -> _Unexpected:
    error_id = uuid.uuid4().hex[:12]
    _log.error("%s failed unexpectedly, error id %s", method, error_id, exc_info=error)
    return _Unexpected(error_id)
