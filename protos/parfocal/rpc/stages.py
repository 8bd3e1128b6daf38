"""Around every rpc: whether it is served. None is while the server loads, no new one while it drains."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, TypeVar

import grpc

from parfocal.rpc.errors import Draining, Loading, MethodNotImplemented
from parfocal.rpc.surround import Context, Continuation, RpcMethod, behaviour_of, surround

_REFUSAL = "this server is stopping and takes no new requests; try again, another one may answer"
_CUT = "this server stopped before the answer was complete; try again, another one may answer"
_RETRY_AFTER_S = 1.0
_ENDLESS = "is_endless"

_Rpc = TypeVar("_Rpc", bound=Callable[..., Any])
_Tasks = set[asyncio.Task[object]]


def endless(rpc: _Rpc) -> _Rpc:
    """Marks an rpc that ends only when its caller leaves: a draining server ends it, and waits for others."""
    vars(rpc)[_ENDLESS] = True
    return rpc


class StageInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Refuses rpcs with Loading until `opened`, and with Draining from `drain` on; counts those under way.

    gRPC's own services (health, reflection) run to the end, uncounted: load balancers watch for ever.
    """

    def __init__(self) -> None:
        self._is_open = False
        self._draining = False
        self._cutting = False
        self._refusal = _REFUSAL
        self._under_way: _Tasks = set()
        self._endless: _Tasks = set()
        self._own: _Tasks = set()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def under_way(self) -> int:
        """How many rpcs are being served now."""
        return len(self._under_way)

    @property
    def draining(self) -> bool:
        """Whether new rpcs are refused."""
        return self._draining

    def opened(self) -> None:
        """Notes that every service is there now."""
        self._is_open = True

    def drain(self, cause: str = "") -> None:
        """Refuses every rpc from now on, and ends the endless ones; others under way go on.

        A server that cannot go on refuses with the `cause`.
        """
        self._draining = True
        self._refusal = cause or self._refusal
        for task in self._endless:
            task.cancel()

    async def wait_idle(self, limit_s: float) -> bool:
        """Waits until no rpc is under way, at most `limit_s` seconds. Returns whether none is."""
        try:
            await asyncio.wait_for(self._idle.wait(), limit_s)
        except TimeoutError:
            return False
        return True

    def cut(self) -> None:
        """Ends every rpc under way, gRPC's own ones too; their callers get Draining."""
        self._draining = self._cutting = True
        for task in (*self._under_way, *self._own):
            task.cancel()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """Returns the rpc inside the scope that counts, refuses or ends it."""
        method = handler_call_details.method
        rpc = await continuation(handler_call_details) or self._unserved(method)
        if method.startswith("/grpc."):
            return surround(rpc, method, self._uncounted)
        is_endless = getattr(behaviour_of(rpc), _ENDLESS, False)
        return surround(rpc, method, self._watched if is_endless else self._counted)

    def _unserved(self, method: str) -> RpcMethod:
        """What refuses an rpc that nobody serves, or not yet."""

        async def refuse(requests: object, context: Context) -> None:
            if not self._is_open:
                raise Loading("this server is still loading; try again soon", retry_after_s=_RETRY_AFTER_S)
            raise MethodNotImplemented(f"this server knows no rpc {method}", method=method)

        # The caller may take it for any kind of rpc; any kind can be refused before its first message.
        return grpc.stream_stream_rpc_method_handler(refuse)

    @contextlib.asynccontextmanager
    async def _counted(self, method: str, context: Context) -> AsyncIterator[None]:
        if self._draining:
            raise Draining(self._refusal)
        self._idle.clear()
        try:
            with self._cuttable(self._under_way):
                yield
        finally:
            if not self._under_way:
                self._idle.set()

    @contextlib.asynccontextmanager
    async def _watched(self, method: str, context: Context) -> AsyncIterator[None]:
        async with self._counted(method, context):
            with self._cuttable(self._endless):
                yield

    @contextlib.asynccontextmanager
    async def _uncounted(self, method: str, context: Context) -> AsyncIterator[None]:
        with self._cuttable(self._own):
            yield

    @contextlib.contextmanager
    def _cuttable(self, tasks: _Tasks) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None, "gRPC serves each rpc in a task of its own"
        tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not (self._cutting or (self._draining and tasks is self._endless)):
                raise
            task.uncancel()
            raise Draining(_CUT) from None
        finally:
            tasks.discard(task)
