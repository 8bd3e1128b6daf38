"""The index in an SQLite file, with its locks beside it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from parfocal.registry.disk import FolderLock, disk_errors
from parfocal.registry.index.sql import SqlIndex
from parfocal.registry.index.sqlite.database import SqliteDatabase


def _now() -> datetime:
    return datetime.now(UTC)


class SqliteIndex(SqlIndex):
    """The index in the file `path`, with its locks beside it; several processes may use it at a time.

    `founding` is asked before a file that is absent or empty becomes an index, and raises where it must not.
    Where nothing can be written now, reads go on. Events and leases go by `clock`. Raises NotARegistry,
    RegistryTooNew, IndexCorrupt or another StorageError.
    """

    def __init__(
        self, path: Path, founding: Callable[[], None], clock: Callable[[], datetime] = _now
    ) -> None:
        self._path = path
        self._lock = FolderLock(path.parent / "lock")
        opening = FolderLock(path.parent / "opening.lock")
        self._file = SqliteDatabase(path, opening.exclusive, founding)
        super().__init__(self._file, clock)

    @property
    def is_writable(self) -> bool:
        """Whether changes can be made now."""
        return self._file.is_writable

    def close(self) -> None:
        """Closes the file, which is then complete by itself; the next use reopens it."""
        self._file.close()

    def check(self) -> list[str]:
        with self._file.read() as connection:
            rows = connection.execute("PRAGMA integrity_check").fetchall()
        return [text for (text,) in rows if text != "ok"]

    @contextmanager
    def publishing(self) -> Iterator[None]:
        with disk_errors(self._path), self._lock.shared():
            yield

    @contextmanager
    def collecting(self) -> Iterator[None]:
        with disk_errors(self._path), self._lock.exclusive():
            yield
