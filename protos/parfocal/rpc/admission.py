"""Around every rpc: whether it is served. Not before the server is open, without room, or when it drains."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, TypeVar

import grpc

from parfocal.rpc.ending import current_task, when_this_task_ends
from parfocal.rpc.errors import Draining, Loading, MethodNotImplemented, TooManyRpcs
from parfocal.rpc.surround import (
    Context,
    Continuation,
    RpcMethod,
    Sends,
    behaviour_of,
    surround,
)
from parfocal.v1.limits import SEND_S

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


class Room:
    """Room for `most` of something at a time, math.inf for any number; `setting` of the server says how many.

    One event loop takes and gives back; any thread may read.
    """

    def __init__(self, most: float, setting: str) -> None:
        self.most = most
        self.setting = setting
        self.taken = 0
        self.refused = 0

    def take(self, count: int = 1) -> bool:
        """Takes room for `count` more; where there is none, counts a refusal and returns False."""
        if self.taken + count > self.most:
            self.refused += 1
            return False
        self.taken += count
        return True

    def give_back(self, count: int = 1) -> None:
        """Frees what was taken."""
        self.taken -= count


class AdmissionInterceptor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Refuses rpcs with Loading until `opened`, and with Draining from `drain` on; counts those under way.

    One for which there is no room, in `rpcs` or that of its service, is refused with TooManyRpcs before
    anything of it is read. gRPC's own services (health, reflection) have room apart, in `probes`, since a
    full server answers them too; they run to the end, uncounted: load balancers watch for ever. Any rpc is
    ended whose caller takes no message for `send_s` seconds.
    """

    def __init__(self, rpcs: Room, probes: Room, send_s: float = SEND_S.most) -> None:
        self._rpcs = rpcs
        self._probes = probes
        self._sends = Sends(send_s)
        self._services: dict[str, Room] = {}
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

    def opened(self, services: Mapping[str, Room]) -> None:
        """Notes that all is there now; `services`, by full name, have room of their own within all room."""
        self._services |= services
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

    @contextlib.asynccontextmanager
    async def admitted(self, method: str) -> AsyncIterator[None]:
        """The scope of a request of another face: refused, counted and cut as an rpc is.

        Raises Loading, Draining or TooManyRpcs.
        """
        if not self._is_open:
            raise _loading()
        if not self._rpcs.take():
            raise _too_many(method, self._rpcs)
        try:
            async with self._counted(method):
                yield
        finally:
            self._rpcs.give_back()

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """The rpc inside the scope that counts, refuses or ends it."""
        method = handler_call_details.method
        full = self._taken(method)
        if full is not None:
            return _refusing(method, full)
        rpc = await continuation(handler_call_details) or self._unserved(method)
        if method.startswith("/grpc."):
            return surround(rpc, method, self._uncounted, sends=self._sends)
        is_endless = getattr(behaviour_of(rpc), _ENDLESS, False)
        scope = self._watched if is_endless else self._counted
        return surround(rpc, method, scope, sends=self._sends)

    def _taken(self, method: str) -> Room | None:
        """Takes room for an rpc until its task ends; returns the room that is full, if one is."""
        taken: list[Room] = []
        for room in self._rooms(method):
            if not room.take():
                _give_back(taken)
                return room
            taken.append(room)
        # Not in a scope around the rpc: a caller may be gone before any is entered.
        when_this_task_ends(lambda: _give_back(taken))
        return None

    def _rooms(self, method: str) -> list[Room]:
        service = method[1:].partition("/")[0]
        if service.startswith("grpc."):
            return [self._probes]
        own = self._services.get(service)
        return [self._rpcs] if own is None else [self._rpcs, own]

    def _unserved(self, method: str) -> RpcMethod:
        """What refuses an rpc that nobody serves, or not yet."""

        async def refuse(requests: object, context: Context) -> None:
            if not self._is_open:
                raise _loading()
            raise MethodNotImplemented(f"this server knows no rpc {method}", method=method)

        # The caller may take it for any kind of rpc; any kind can be refused before its first message.
        return grpc.stream_stream_rpc_method_handler(refuse)

    @contextlib.asynccontextmanager
    async def _counted(self, method: str, context: object = None) -> AsyncIterator[None]:
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
        task = current_task()
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


def _give_back(rooms: list[Room]) -> None:
    for room in rooms:
        room.give_back()


def _loading() -> Loading:
    return Loading("this server is still loading; try again soon", retry_after_s=_RETRY_AFTER_S)


def _too_many(method: str, room: Room) -> TooManyRpcs:
    flag = f"--{room.setting.replace('_', '-')}"
    advice = f"; try again soon, or give the server more with {flag}" if room.setting else "; try again soon"
    return TooManyRpcs(
        f"the server already serves {room.most} rpcs like {method}, as many as it may{advice}",
        retry_after_s=_RETRY_AFTER_S,
        method=method,
        limit=str(room.most),
        setting=room.setting,
    )


def _refusing(method: str, room: Room) -> RpcMethod:
    async def refuse(requests: object, context: Context) -> None:
        raise _too_many(method, room)

    # The caller may take it for any kind of rpc; any kind can be refused before its first message.
    return grpc.stream_stream_rpc_method_handler(refuse)
