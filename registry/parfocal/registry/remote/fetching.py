"""Fetches versions ahead of who will ask for them, each once at a time. Knows no reference."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from parfocal.registry.errors import RegistryError
from parfocal.rpc import WireError

_THREADS = 4


class Fetching:
    """Fetches with `materialise`; who asks for what is under way waits for it instead of fetching it too."""

    def __init__(self, materialise: Callable[[str], Path]) -> None:
        self._materialise = materialise
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="registry-fetch")
        self._lock = threading.Lock()
        self._under_way: dict[str, Future[Path]] = {}

    def begin(self, digest: str) -> "Future[Path]":
        """The fetch of a version, which is under way from now on."""
        with self._lock:
            found = self._under_way.get(digest)
            if found is not None:
                return found
            begun = self._under_way[digest] = self._threads.submit(self._materialise, digest)
        begun.add_done_callback(lambda _: self._ended(digest))
        return begun

    def join(self, digest: str) -> None:
        """Waits for the fetch of a version if it is under way, however it ends."""
        with self._lock:
            found = self._under_way.get(digest)
        if found is not None:
            with suppress(RegistryError, WireError):
                found.result()

    def close(self) -> None:
        """Begins nothing more; what is under way ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _ended(self, digest: str) -> None:
        with self._lock:
            self._under_way.pop(digest, None)
