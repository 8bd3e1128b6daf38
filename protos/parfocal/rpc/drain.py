"""Around every rpc: a draining server refuses new ones, waits for those under way, cuts off the rest."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import grpc

from parfocal.rpc.errors import Draining
from parfocal.rpc.surround import Context, Continuation, RpcMethod, surround

_REFUSAL = "this server is stopping and takes no new requests; try again, another one may answer"
_CUT = "this server stopped before the answer was complete; try again, another one may answer"


class DrainInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Counts the rpcs under way and, once draining, refuses new ones with Draining.

    gRPC's own services (health, reflection) run to the end, uncounted: load balancers watch for ever.
    """

    def __init__(self) -> None:
        self._draining = False
        self._cutting = False
        self._under_way: set[asyncio.Task[object]] = set()
        self._own: set[asyncio.Task[object]] = set()
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

    def drain(self) -> None:
        """Refuses every rpc from now on; those under way go on."""
        self._draining = True

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
        """Returns the rpc inside the scope that counts, refuses or cuts it."""
        rpc = await continuation(handler_call_details)
        own = handler_call_details.method.startswith("/grpc.")
        return rpc and surround(rpc, handler_call_details.method, self._uncounted if own else self._counted)

    @contextlib.asynccontextmanager
    async def _counted(self, method: str, context: Context) -> AsyncIterator[None]:
        if self._draining:
            raise Draining(_REFUSAL)
        self._idle.clear()
        try:
            with self._cuttable(self._under_way):
                yield
        finally:
            if not self._under_way:
                self._idle.set()

    @contextlib.asynccontextmanager
    async def _uncounted(self, method: str, context: Context) -> AsyncIterator[None]:
        with self._cuttable(self._own):
            yield

    @contextlib.contextmanager
    def _cuttable(self, tasks: set[asyncio.Task[object]]) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None, "gRPC serves each rpc in a task of its own"
        tasks.add(task)
        try:
            yield
        except asyncio.CancelledError:
            if not self._cutting:
                raise
            task.uncancel()
            raise Draining(_CUT) from None
        finally:
            tasks.discard(task)
