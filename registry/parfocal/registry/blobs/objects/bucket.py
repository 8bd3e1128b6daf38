"""Objects under one prefix, asked for with patience. Knows fsspec, and neither blobs nor any one store."""

import errno
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from parfocal.registry.disk import patience
from parfocal.registry.errors import BlobsUnreachable, RegistryForbidden, StorageError

log = logging.getLogger(__name__)
Result = TypeVar("Result")

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0
# A disk of this machine, which no waiting mends.
_LOCAL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)
_MOMENTS = ("LastModified", "mtime", "created", "last_modified", "updated")


@dataclass(frozen=True, slots=True)
class Waits:
    """For how many seconds a store is waited for: to connect, to go on answering, and until it is given up.

    One that answers 503 means: come back later. Half a minute is as long as a publisher should wait.
    """

    connect_s: float = 5.0
    read_s: float = 30.0
    in_all_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Object:
    """An object's key below the prefix, its size in bytes, and when it was written where that is told."""

    key: str
    size: int
    written_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Driver:
    """A file system of fsspec, and the errors of its own that are no OSError.

    An object `is_whole` at once where the store itself shows none that is half written.
    """

    files: Any
    faults: tuple[type[Exception], ...]
    is_whole: bool


class Bucket:
    """What a driver's file system holds under `root`. `shown` names it in errors.

    Whatever fails is tried again with growing pauses for as long as `waits` say, but for what no waiting
    mends: an object that is not there, and permissions. Raises BlobsUnreachable, RegistryForbidden or
    FileNotFoundError.
    """

    def __init__(self, driver: Driver, root: str, shown: str, waits: Waits) -> None:
        self.shown = shown
        self._files = driver.files
        self._root = root.rstrip("/")
        self._faults: tuple[type[Exception], ...] = (OSError, *driver.faults)
        self._is_whole = driver.is_whole
        self._waits = waits

    def size(self, key: str) -> int:
        """The size of an object."""
        return int(self._tried(lambda: self._files.info(self._path(key)), f"look for {key}")["size"])

    def read(self, key: str) -> bytes:
        """The bytes of a small object."""
        data: bytes = self._tried(lambda: self._files.cat_file(self._path(key)), f"read {key}")
        return data

    def write(self, key: str, data: bytes) -> None:
        """Writes a small object, whole or not at all."""
        self._appear(key, lambda path: self._files.pipe_file(path, data))

    def fetch(self, key: str, target: Path) -> None:
        """Copies an object into a local file."""
        self._tried(lambda: self._files.get_file(self._path(key), str(target)), f"read {key}")

    def store(self, source: Path, key: str) -> None:
        """Copies a local file into an object that appears whole or not at all."""
        self._appear(key, lambda path: self._files.put_file(str(source), path))

    def move(self, key: str, to: str) -> None:
        """Gives an object another key."""
        self._tried(lambda: self._moved(self._path(key), self._path(to)), f"move {key}")

    def remove(self, key: str) -> None:
        """Removes an object if it is there."""
        with suppress(FileNotFoundError):
            self._tried(lambda: self._files.rm_file(self._path(key)), f"remove {key}")

    def below(self, key: str) -> Iterator[Object]:
        """Every object whose key begins with `key/`, sorted."""
        path = self._path(key)
        found = self._tried(lambda: self._files.find(path, detail=True), f"list {key}")
        prefix = len(self._root.lstrip("/")) + 1
        for name, info in sorted(found.items()):
            yield Object(name.lstrip("/")[prefix:], int(info["size"]), _written_at(info))

    def folders(self, key: str) -> list[str]:
        """The names of what lies directly below `key/`, sorted."""
        path = self._path(key)
        try:
            found = self._tried(lambda: self._files.ls(path, detail=False), f"list {key}")
        except FileNotFoundError:
            return []
        return sorted({name.rstrip("/").rpartition("/")[2] for name in found})

    def _appear(self, key: str, write: Callable[[str], object]) -> None:
        final = self._path(key)
        if self._is_whole:
            self._tried(lambda: write(final), f"write {key}")
            return
        under_way = self._path(f"uploads/{time.time_ns():x}-{key.rpartition('/')[2]}")

        def replace() -> None:
            self._files.makedirs(under_way.rpartition("/")[0], exist_ok=True)
            write(under_way)
            self._moved(under_way, final)

        self._tried(replace, f"write {key}")

    def _moved(self, source: str, target: str) -> None:
        self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
        self._files.mv(source, target)

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}"

    def _tried(self, call: Callable[[], Result], deed: str) -> Result:
        until, pause_s = time.monotonic() + patience(self._waits.in_all_s), _FIRST_PAUSE_S
        while True:
            try:
                return call()
            except FileNotFoundError:
                raise
            except PermissionError as error:
                raise RegistryForbidden(
                    f"the store {self.shown} does not let this process {deed} ({_said(error)}); give it "
                    "credentials that may",
                    path=self.shown,
                ) from error
            except self._faults as error:
                if isinstance(error, OSError) and error.errno in _LOCAL:
                    raise
                if time.monotonic() + pause_s > until:
                    raise self._unreachable(deed, error) from error
                log.info("store %s: trying again to %s: %s", self.shown, deed, _said(error))
                time.sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _unreachable(self, deed: str, error: Exception) -> StorageError:
        return BlobsUnreachable(
            f"the store {self.shown} did not {deed} ({_said(error)}); try again later", path=self.shown
        )


def _written_at(info: dict[str, Any]) -> datetime | None:
    for name in _MOMENTS:
        found = info.get(name)
        if isinstance(found, datetime):
            return found if found.tzinfo else found.replace(tzinfo=UTC)
        if isinstance(found, int | float):
            return datetime.fromtimestamp(found, UTC)
    return None


def _said(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
