"""Shares one watch of a registry among any number of callers. Knows no messages."""

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from itertools import islice

from parfocal.registry.errors import RegistryError, StorageError
from parfocal.registry.faces.threads import Threads
from parfocal.registry.registry import Registry
from parfocal.registry.values import AdapterName, Event, check_sequence
from parfocal.registry.watching import Watch
from parfocal.rpc import WireError

_KEPT = 1000
_BATCH = 100


class Feed:
    """Watches `registry` while anybody is there who wants to know, once for all of them.

    The newest `kept` events are held in memory. Who is slower reads on from the registry until it has caught
    up, so that a slow reader costs no memory and misses nothing.
    """

    def __init__(self, registry: Registry, threads: Threads, kept: int = _KEPT) -> None:
        self._registry = registry
        self._threads = threads
        self._kept = kept
        self._joining = asyncio.Lock()
        self._shared: _SharedWatch | None = None

    async def events(self, name: str, after: int | None) -> AsyncGenerator[int | Event, None]:
        """Where the watch begins, then each event of the adapter `name`, or of all, as `Registry.watch` does.

        Ends only with an error: those of a `Watch`.
        """
        adapter = str(AdapterName.parse(name)) if name else ""
        asked = check_sequence(after)
        async with self._joined() as shared:
            told = shared.last if asked is None else asked
            if told > shared.last:
                (await self._threads(self._registry.watch, "", told)).close()  # raises what is wrong with it
            yield told
            while True:
                async with contextlib.aclosing(self._newer(shared, told)) as newer:
                    async for event in newer:
                        told = event.sequence
                        if adapter in ("", event.name):
                            yield event
                await shared.more_than(told)

    async def _newer(self, shared: "_SharedWatch", told: int) -> AsyncGenerator[Event, None]:
        """Some events after the one numbered `told`, of those that there are now."""
        if told >= shared.first - 1:
            for event in shared.newer(told):
                yield event
            return
        behind: Watch = await self._threads(self._registry.watch, "", told)
        with contextlib.closing(behind):
            events = iter(behind)
            while told < shared.first - 1:
                for event in await self._threads(_up_to, events, shared.first - 1):
                    told = event.sequence
                    yield event

    @contextlib.asynccontextmanager
    async def _joined(self) -> AsyncIterator["_SharedWatch"]:
        async with self._joining:
            if self._shared is None or self._shared.error is not None:
                watch: Watch = await self._threads(self._registry.watch)
                self._shared = _SharedWatch(watch, self._kept)
            shared = self._shared
            shared.callers += 1
        try:
            yield shared
        finally:
            shared.callers -= 1
            if not shared.callers:
                shared.close()
                if self._shared is shared:
                    self._shared = None


class _SharedWatch:
    """A watch that is followed in a thread of its own; all else belongs to the event loop."""

    def __init__(self, watch: Watch, kept: int) -> None:
        self.callers = 0
        self.last = watch.begins_after
        self.error: RegistryError | WireError | None = None
        self._watch = watch
        self._recent: deque[Event] = deque(maxlen=kept)
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._follow, name="registry-watch", daemon=True).start()

    @property
    def first(self) -> int:
        """The number of the first event that is held here, or that would be."""
        return self.last + 1 - len(self._recent)

    def newer(self, told: int) -> list[Event]:
        """At most so many of the events held here as a caller should be sent at once."""
        begin = told + 1 - self.first
        return [self._recent[place] for place in range(begin, min(begin + _BATCH, len(self._recent)))]

    async def more_than(self, told: int) -> None:
        """Waits for an event after the one numbered `told`; raises why there will be none."""
        while self.last <= told:
            if self.error is not None:
                raise self.error.with_traceback(None)
            await self._news.wait()

    def close(self) -> None:
        """Ends the watch and its thread."""
        self._watch.close()

    def _follow(self) -> None:
        end: RegistryError | WireError = StorageError("the watch of the registry has ended; begin it again")
        try:
            for event in self._watch:
                self._in_loop(event)
        except (RegistryError, WireError) as error:
            end = error
        finally:
            self._in_loop(end)

    def _in_loop(self, found: Event | RegistryError | WireError) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
            self._loop.call_soon_threadsafe(self._take, found)

    def _take(self, found: Event | RegistryError | WireError) -> None:
        if isinstance(found, Event):
            self._recent.append(found)
            self.last = found.sequence
        else:
            self.error = found
        self._news.set()
        self._news = asyncio.Event()


def _up_to(events: Iterator[Event], last: int) -> list[Event]:
    """The next events as far as the one numbered `last`, but no more than a caller should be sent at once.

    They must have happened: a watch waits for what has not.
    """
    found: list[Event] = []
    for event in islice(events, _BATCH):
        found.append(event)
        if event.sequence >= last:
            break
    return found
