"""The folder that keeps bases ready to serve: lists them, locks those in use, evicts the others.

Knows no tensors: `loading` writes and reads the entries. An entry is a folder named by its key; it appears
and disappears as a whole, with its seal. Any number of processes may share the folder.
"""

import contextlib
import fcntl
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

SEAL = "entry.json"

_ABANDONED_S = 86_400.0
_PATIENCE_S = 2.0
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class CachedBase:
    """One base in its in-memory form. `used_at` is when a server last loaded it, in seconds since 1970."""

    key: str
    name: str
    dtype: str
    device: str
    size_bytes: int
    used_at: float
    is_served: bool


class BaseCache:
    """Bases under `root`, at most `capacity_bytes` of them; evicts the least recently served first.

    A base that any process serves is never evicted: its seal stays locked while the BaseCache that used it is
    open. `label` is the display name of the base to be served through this one.
    """

    def __init__(self, root: Path, capacity_bytes: int | None = None, label: str = "") -> None:
        self.root = root
        self.label = label
        self._capacity_bytes = capacity_bytes
        self._locks: list[int] = []

    def bases(self) -> list[CachedBase]:
        """The bases, most recently served first. Raises OSError."""
        if not self.root.is_dir():
            return []
        found = [base for path in self.root.iterdir() if (base := _cached_base(path)) is not None]
        return sorted(found, key=lambda base: (-base.used_at, base.key))

    def use(self, key: str) -> bool:
        """Marks a base as in use; returns False if it is not there.

        Waits for a removal under way, which takes milliseconds; one that takes seconds is another user who
        holds the lock, and then the base counts as not there.
        """
        seal = self.root / key / SEAL
        try:
            lock = os.open(seal, os.O_RDONLY)
        except OSError:
            return False
        if not _could_share(lock) or not _is_still(lock, seal):
            os.close(lock)
            return False
        self._locks.append(lock)
        with contextlib.suppress(OSError):  # another user's folder: its time stays as it is
            os.utime(seal)
        return True

    def make_room(self) -> list[CachedBase]:
        """Evicts unserved bases until the rest fit the capacity; returns those removed."""
        if self._capacity_bytes is None:
            return []
        bases = self.bases()
        excess = sum(base.size_bytes for base in bases) - self._capacity_bytes
        gone = []
        for base in reversed(bases):
            if excess <= 0:
                break
            if self.remove(base.key):
                excess -= base.size_bytes
                gone.append(base)
                log.info("evicted cached base %s (%s) to make room in %s", base.name, base.dtype, self.root)
        return gone

    def remove(self, key: str) -> bool:
        """Removes a base; returns False and does nothing if it is being served. Raises OSError."""
        with _unserved(self.root / key / SEAL) as is_free:
            if is_free:
                self.discard(key)
        return is_free

    def discard(self, key: str) -> None:
        """Removes a base, served or not; atomically, so that nobody finds it half removed. Raises OSError."""
        aside = Path(tempfile.mkdtemp(prefix=".old-", dir=self.root))
        try:
            with contextlib.suppress(FileNotFoundError):  # another process was faster
                (self.root / key).rename(aside / "entry")
        finally:
            shutil.rmtree(aside, ignore_errors=True)

    def sweep(self) -> None:
        """Removes the unfinished entries of killed processes."""
        for path in (*self.root.glob(".new-*"), *self.root.glob(".old-*")):
            with contextlib.suppress(OSError):
                if path.stat().st_mtime < time.time() - _ABANDONED_S:
                    shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Releases the bases that were used through this one."""
        while self._locks:
            os.close(self._locks.pop())


def _cached_base(folder: Path) -> CachedBase | None:
    if folder.name.startswith("."):
        return None
    seal = folder / SEAL
    try:
        size_bytes = sum(file.stat().st_size for file in folder.iterdir())
        used_at = seal.stat().st_mtime
        told = json.loads(seal.read_bytes())
    except (OSError, ValueError):  # being removed, or corrupt: the next server of it rebuilds it
        return None
    with _unserved(seal) as is_free:
        return CachedBase(folder.name, *_described(told), size_bytes, used_at, not is_free)


def _described(seal: Any) -> tuple[str, str, str]:
    """A base's display name, the type it computes in and the kind of device it is packed for.

    Older seals had no name; the folder of its weights had one.
    """
    try:
        facts = seal["facts"]
        name = seal.get("base") or Path(facts["files"][0][1]).parent.name
        # The library records only what differs from its default.
        dtype = json.loads(facts["recipe"]).get("bnb_4bit_compute_dtype", "float32")
        return str(name), str(dtype), str(facts["device"])
    except (LookupError, TypeError, AttributeError, ValueError):
        return "unknown", "unknown", "unknown"


@contextlib.contextmanager
def _unserved(seal: Path) -> Iterator[bool]:
    """Yields whether no process serves the base, and keeps it that way while the scope lasts."""
    try:
        lock = os.open(seal, os.O_RDONLY)
    except OSError:
        yield True
        return
    try:
        yield _could_lock(lock)
    finally:
        os.close(lock)


def _could_share(lock: int) -> bool:
    deadline = time.monotonic() + _PATIENCE_S
    while time.monotonic() < deadline:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_POLL_S)
        except OSError:  # a file system without locks
            return True
        else:
            return True
    return False


def _could_lock(lock: int) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks: removal is harmless, servers hold it all in memory
        return True
    return True


def _is_still(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except OSError:
        return False
