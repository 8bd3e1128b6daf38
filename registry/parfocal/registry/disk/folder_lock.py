"""A file lock: publishes run side by side, garbage collection runs alone. Freed with its process."""

import fcntl
import os
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from parfocal.registry.disk.modes import give_to_owner, lock_mode
from parfocal.registry.disk.patience import patience
from parfocal.registry.errors import RegistryBusy

_POLL_S = 0.05


class FolderLock:
    """The lock at `path`; the file is made on first use and never removed."""

    def __init__(self, path: Path, patience_s: float = 30.0) -> None:
        self._path = path
        self._patience_s = patience_s

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Holds the lock beside other shared holders; raises RegistryBusy or OSError."""
        with self._held(fcntl.LOCK_SH):
            yield

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Holds the lock alone; raises RegistryBusy or OSError."""
        with self._held(fcntl.LOCK_EX):
            yield

    def share_with(self, owner: object) -> Callable[[], object]:
        """Holds the lock beside other shared holders while `owner` lives; returns what gives it up earlier.

        Raises RegistryBusy or OSError.
        """
        descriptor = self._opened()
        try:
            self._wait(descriptor, fcntl.LOCK_SH)
        except RegistryBusy:
            os.close(descriptor)
            raise
        return weakref.finalize(owner, os.close, descriptor)

    @contextmanager
    def _held(self, kind: int) -> Iterator[None]:
        descriptor = self._opened()
        try:
            self._wait(descriptor, kind)
            yield
        finally:
            os.close(descriptor)

    def _opened(self) -> int:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            descriptor = os.open(self._path, flags)
        if os.fstat(descriptor).st_uid == os.geteuid():
            give_to_owner(descriptor, self._path.parent)
            os.fchmod(descriptor, lock_mode(self._path.parent))
        return descriptor

    def _wait(self, descriptor: int, kind: int) -> None:
        patience_s = patience(self._patience_s)
        deadline = time.monotonic() + patience_s
        while True:
            try:
                fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            except BlockingIOError as error:
                if time.monotonic() >= deadline:
                    raise RegistryBusy(
                        f"another process has held {self._path} for {patience_s:.1f} s; try again later",
                        path=str(self._path),
                    ) from error
                time.sleep(_POLL_S)
            else:
                return
