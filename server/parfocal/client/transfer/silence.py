"""Ends a stream whose other end is there and says nothing. Knows no message."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

import grpc

from parfocal.rpc import RemoteError

T_co = TypeVar("T_co", covariant=True)

_TOO_LATE = "DEADLINE_EXCEEDED"


class Stream(Protocol[T_co]):
    """A call that answers with a stream."""

    def __iter__(self) -> Iterator[T_co]: ...

    def cancel(self) -> object:
        """Ends it; raises in whoever waits for its next reply."""
        ...


@contextmanager
def never_silent(call: Stream[T_co], limit_s: float) -> Iterator[Iterator[T_co]]:
    """Yields the replies of a call; cancels it at the end, or when none came for `limit_s` to twice that.

    Raises RemoteError then. A deadline would not do: an adapter of many gigabytes takes as long as it takes.
    """
    heard, is_done, was_silent = [0], threading.Event(), threading.Event()

    def watch() -> None:
        before = -1
        while not is_done.wait(limit_s):
            if heard[0] == before:
                was_silent.set()
                call.cancel()
                return
            before = heard[0]

    def replies() -> Iterator[T_co]:
        for reply in call:
            heard[0] += 1
            yield reply

    threading.Thread(target=watch, name="parfocal-silence", daemon=True).start()
    try:
        yield replies()
    except grpc.RpcError as error:
        if was_silent.is_set():
            message = f"the registry has sent nothing for {limit_s:g} s; try again"
            raise RemoteError(message, _TOO_LATE, _TOO_LATE, {}) from error
        raise
    finally:
        is_done.set()
        call.cancel()
