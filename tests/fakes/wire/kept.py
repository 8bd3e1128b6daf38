"""What is left alive by work that has ended, for as long as no garbage collector comes."""

import asyncio
import contextlib
import gc
import io
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Set
from pathlib import Path

from parfocal.rpc import Guard
from parfocal.rpc.access import KeysInForce

# Of a request, whatever face it came in by.
OF_A_REQUEST = frozenset({"Generation", "Account", "Call", "Ending"})

# gRPC counts a stream as open while any of them lives, and refuses new ones when they are too many.
OF_AN_RPC = OF_A_REQUEST | {"RPCState", "_ServicerContext", "_MessageReceiver"}

_SETTLES_S = 5.0


async def kept(types: Set[str], work: Callable[[], Awaitable[object]], times: int = 30) -> Counter[str]:
    """How many more objects of these types live after doing the work so many times, by type.

    Those that live are counted, not what the collector finds: a generator that it finds comes back to life to
    be closed, and hides all that it holds. A server may still be ending its part of the work, so it is given
    a moment. What the first time leaves does not count: gRPC keeps the last rpc until the next one comes.
    """
    with _logging_apart():
        await work()
        gc.collect()
        gc.disable()
        try:
            before = _alive(types)
            for _ in range(times):
                await work()
            return await _settled(types, before)
        finally:
            gc.enable()


def guard_of(keys: Path, with_keys: bool) -> Guard:
    """One that asks for a key of this file, or lets in everybody."""
    return Guard(KeysInForce(keys)) if with_keys else Guard()


@contextlib.contextmanager
def _logging_apart() -> Iterator[None]:
    """Writes the log as servers do. Pytest holds its records, with the errors that they tell of."""
    logger, handler = logging.getLogger("parfocal"), logging.StreamHandler(io.StringIO())
    propagated = logger.propagate
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.propagate = propagated
        logger.removeHandler(handler)


async def _settled(types: Set[str], before: Counter[str]) -> Counter[str]:
    clock = asyncio.get_running_loop().time
    end = clock() + _SETTLES_S
    while (more := _beyond_the_last(_alive(types) - before)) and clock() < end:
        await asyncio.sleep(0.01)
    return more


def _beyond_the_last(more: Counter[str]) -> Counter[str]:
    """Without one of each, which gRPC may keep until its next rpc; what each work leaves counts more."""
    return Counter({name: count for name, count in more.items() if count > 1})


def _alive(types: Set[str]) -> Counter[str]:
    return Counter(name for each in gc.get_objects() if (name := type(each).__name__) in types)
