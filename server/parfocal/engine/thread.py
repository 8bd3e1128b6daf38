"""Runs an engine on its own thread and gives asyncio callers a stream for each request."""

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import AsyncIterator

from parfocal.engine.engine import Engine
from parfocal.engine.errors import EngineDraining, EngineError, EngineFailed
from parfocal.engine.inbox import Wake
from parfocal.engine.request import Completion, Delta, Request
from parfocal.engine.tracebacks import in_short

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.05


class Post:
    """Carries items from the engine's thread to an event loop's queues, waking the loop once for many.

    A step has an item for each row; a wake for each would release the GIL once per row.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._items: deque[tuple[asyncio.Queue[Delta | Exception], Delta | Exception]] = deque()
        self._woken = False

    def send(self, queue: "asyncio.Queue[Delta | Exception]", item: Delta | Exception) -> None:
        """Delivers an item, in order; drops it if the loop is closed, since nobody reads it."""
        self._items.append((queue, item))
        if not self._woken:
            self._woken = True
            with contextlib.suppress(RuntimeError):
                self.loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        # Before the first read: an item sent after the last read must wake the loop again.
        self._woken = False
        while self._items:
            queue, item = self._items.popleft()
            queue.put_nowait(item)


class Stream(AsyncIterator[Delta]):
    """The deltas of one request, for the event loop it was submitted from."""

    def __init__(self, engine: Engine, request: Request, post: Post) -> None:
        """Submits the request; raises what `Engine.submit` raises."""
        self.request = request
        self._engine = engine
        self._post = post
        self._items: asyncio.Queue[Delta | Exception] = asyncio.Queue()
        self._ended = False
        self._live = engine.submit(request, self.put)

    def __aiter__(self) -> "Stream":
        return self

    async def __anext__(self) -> Delta:
        """The next delta; raises the error that ended the request, if one did."""
        if self._ended:
            raise StopAsyncIteration
        item = await self._items.get()
        if isinstance(item, Exception):
            self._ended = True
            raise item
        self._ended = item.completion is not None
        return item

    async def completion(self) -> Completion:
        """Reads the stream to its end and returns the whole result."""
        async for delta in self:
            if delta.completion is not None:
                return delta.completion
        raise EngineError(f"request {self.request.request_id} was read to its end already")

    def cancel(self) -> None:
        """Ends the request before the engine's next step; the stream still ends with a completion.

        No effect on a request that has ended, nor on another that has its id by then.
        """
        if not self._ended:
            self._engine.cancel(self._live)

    def put(self, item: Delta | Exception) -> None:
        """Delivers an item from the engine's thread."""
        self._post.send(self._items, item)


class EngineThread:
    """An engine and the thread that steps it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parfocal-engine", daemon=True)
        self._post: Post | None = None
        self._failure: EngineFailed | None = None

    @property
    def engine(self) -> Engine:
        """The engine; use only its thread-safe methods."""
        return self._engine

    @property
    def alive(self) -> bool:
        """Whether it computes: the thread runs and the engine has not failed."""
        return self._thread.is_alive() and self._failure is None

    @property
    def failure(self) -> EngineFailed | None:
        """Why the engine has ended by itself, if it has."""
        return self._failure

    def start(self) -> None:
        """Starts stepping."""
        self._thread.start()

    def submit(self, request: Request) -> Stream:
        """The request's stream.

        Call it in a running event loop; raises what `Engine.submit` raises.
        """
        if self._failure is not None:
            raise _again(self._failure)
        if self._stopping.is_set() or not self.alive:
            raise EngineDraining("the engine has stopped; send the request to another server")
        loop = asyncio.get_running_loop()
        if self._post is None or self._post.loop is not loop:
            self._post = Post(loop)
        return Stream(self._engine, request, self._post)

    async def drain(self, grace_s: float) -> None:
        """Refuses new requests, gives accepted ones up to `grace_s` seconds to end, then stops."""
        self._engine.drain()
        deadline = time.monotonic() + grace_s
        while self._engine.live and self.alive and time.monotonic() < deadline:
            await asyncio.sleep(IDLE_SECONDS)
        await asyncio.to_thread(self.stop)

    def stop(self) -> None:
        """Stops after the running step; requests that have not ended get EngineDraining."""
        self._engine.drain()
        self._stopping.set()
        self._engine.post(Wake())
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                if not self._engine.step():
                    self._engine.wait(IDLE_SECONDS)
        except Exception as error:  # the engine's loop itself: every caller is told before its thread ends
            log.exception("the engine failed outside any request and is stopping")
            # Known before anything else is done, so that nobody is sent here any more.
            self._failure = _failure(error)
        finally:
            self._engine.drain()
            try:
                self._engine.fail_all(
                    self._failure
                    or EngineDraining("the server stopped before the request ended; send it again")
                )
            finally:
                self._engine.close()


def _failure(error: Exception) -> EngineFailed:
    if isinstance(error, EngineFailed):
        return _again(error)
    return EngineFailed(f"the engine failed: {in_short(error)}; send the request to another server")


def _again(failure: EngineFailed) -> EngineFailed:
    """The same failure to be raised anew: without a traceback, which would grow and hold frames."""
    return type(failure)(str(failure))
