"""Reads an index that this process cannot write, though others may."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from parfocal.registry.index.sqlite.migrations import migrate
from parfocal.registry.index.sqlite.opening import check_owner, connect, is_migrated, uri_of

Open = Callable[[Path], sqlite3.Connection]


@contextmanager
def look(path: Path) -> Iterator[sqlite3.Connection]:
    """Yields a fresh connection, in a transaction that sees one moment; raises sqlite3.Error or OSError."""
    with path.open("rb"):
        pass  # the system names what keeps the file from being read better than SQLite
    with ExitStack() as stack:
        connection = _opened(path) or _copied(path, stack)
        stack.callback(connection.close)
        connection.execute("BEGIN")
        yield connection


def _opened(path: Path) -> sqlite3.Connection | None:
    """Opens the file in the first way that reads our newest schema; none of them takes room on a disk."""
    ways: list[Open] = [_beside_others, _alone]
    if not _has_commits_waiting(path):
        ways.append(_unchanging)
    for way in ways:
        try:
            connection = way(path)
        except sqlite3.OperationalError:
            continue
        with ExitStack() as unless_ready, suppress(sqlite3.OperationalError):
            unless_ready.callback(connection.close)
            check_owner(connection, path)
            if is_migrated(connection):
                unless_ready.pop_all()
                return connection
    return None


def _beside_others(path: Path) -> sqlite3.Connection:
    """SQLite's own way: it needs the -shm file of a process that may write."""
    return connect(f"{uri_of(path)}?mode=ro")


def _alone(path: Path) -> sqlite3.Connection:
    """With what the -shm file would hold in memory: where there is no room for one, and nobody has one."""
    connection = connect(f"{uri_of(path)}?mode=rw", patience_s=0)
    connection.execute("PRAGMA locking_mode = EXCLUSIVE")
    return connection


def _unchanging(path: Path) -> sqlite3.Connection:
    """As a file that nobody writes: on a medium that is mounted read-only."""
    return connect(f"{uri_of(path)}?mode=ro&immutable=1")


def _copied(path: Path, stack: ExitStack) -> sqlite3.Connection:
    """Opens a copy: it can replay commits that wait in the -wal file, and take a newer schema."""
    scratch = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="parfocal-index-")))
    copy = scratch / path.name
    shutil.copyfile(path, copy)
    if _has_commits_waiting(path):
        shutil.copyfile(_wal(path), _wal(copy))
    connection = connect(f"{uri_of(copy)}?mode=rw")
    with ExitStack() as unless_ready:
        unless_ready.callback(connection.close)
        check_owner(connection, path)
        migrate(connection)
        unless_ready.pop_all()
    return connection


def _has_commits_waiting(path: Path) -> bool:
    return _wal(path).is_file() and _wal(path).stat().st_size > 0


def _wal(path: Path) -> Path:
    return Path(f"{path}-wal")
