"""Private work folders inside the registry, swept when the process that made them is gone.

A file lock, which the kernel frees with the process, tells whether it is gone: process ids are reused, and
mean nothing across containers that share the folder.
"""

import fcntl
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from parfocal.registry.disk.modes import make_like

_LOCK = ".lock"


class Staging:
    """The folder of work folders. Made on first use; opening it writes nothing."""

    def __init__(self, root: Path) -> None:
        self._root = root

    @contextmanager
    def work_folder(self) -> Iterator[Path]:
        """Yields an empty folder that is always removed at the end; raises OSError."""
        self._root.parent.mkdir(parents=True, exist_ok=True)
        make_like(self._root, self._root.parent)
        lock, folder = self._claim()
        try:
            folder.mkdir()
            yield folder
        finally:
            _remove(folder, lock)
            os.close(lock)

    def sweep(self) -> int:
        """Removes the work folders of processes that are gone, and counts them; raises OSError.

        Leaves those of other users, which it may not open.
        """
        if not self._root.is_dir():
            return 0
        return sum(self._sweep_one(path) for path in sorted(self._root.glob(f"*{_LOCK}")))

    def _claim(self) -> tuple[int, Path]:
        """A locked descriptor and the path of the work folder that it protects."""
        while True:
            folder = self._root / secrets.token_hex(8)
            path = folder.with_suffix(_LOCK)
            lock = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX)
            if _is_same_file(lock, path):
                return lock, folder
            os.close(lock)  # a sweeper took the file between its creation and its lock

    def _sweep_one(self, path: Path) -> bool:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except (FileNotFoundError, PermissionError):
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not _is_same_file(lock, path):
                return False
            _remove(path.with_suffix(""), lock)
        except (BlockingIOError, PermissionError):
            return False
        finally:
            os.close(lock)
        return True


def _remove(folder: Path, lock: int) -> None:
    """Removes a work folder, then its lock file: a folder without a lock would stay for ever."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    path = folder.with_suffix(_LOCK)
    if _is_same_file(lock, path):
        path.unlink()


def _is_same_file(descriptor: int, path: Path) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    here = os.fstat(descriptor)
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
