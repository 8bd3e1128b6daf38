"""Syncs a file on a thread of its own, while its writer goes on."""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

# What others must find in the file, without its times; macOS has no such call.
_sync = getattr(os, "fdatasync", os.fsync)


class SyncBehind:
    """Brings what was written to the open file `descriptor` nearer to the disk, one sync at a time.

    The last sync, which promises something, is its owner's own. The scope ends when no sync runs any more.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._thread: ThreadPoolExecutor | None = None
        self._running: Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is not None:
            self._thread.shutdown()

    def begin(self) -> None:
        """Begins to sync what was written so far, after the sync before; raises that one's OSError."""
        self.wait()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="sync-behind")
        self._running = self._thread.submit(_sync, self._descriptor)

    def wait(self) -> None:
        """Waits for the sync that runs, if any; raises its OSError, which the system tells only once."""
        running, self._running = self._running, None
        if running is not None:
            running.result()
