"""Keys in a file, one JSON object a line: read, and changed whole or not at all. Does not know who calls."""

import contextlib
import fcntl
import os
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from parfocal.rpc.access.errors import KeyFileInvalid, KeyNotFound, KeysBusy
from parfocal.rpc.access.keys import Key, make_key, read_line
from parfocal.rpc.access.scopes import Scope
from parfocal.rpc.errors import WireError

T = TypeVar("T")

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
_OTHERS_READ = stat.S_IROTH
_MOST_BYTES = 16 << 20
_PATIENCE_S = 10.0
_POLL_S = 0.05


@dataclass(frozen=True, slots=True)
class KeyFile:
    """What a file holds: keys by id, what is wrong with lines that are no key, whether anybody reads it."""

    keys: dict[str, Key]
    faults: tuple[str, ...]
    others_read: bool


def read_keys(path: Path) -> KeyFile:
    """The keys in a file; a line that is none opens nothing.

    Raises KeyFileInvalid for a file that cannot be read, or that others than its owner may write: they could
    let themselves in. That others may read it does no harm by itself: it has hashes of random secrets.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            held = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise KeyFileInvalid(
            f"the file of keys {path} cannot be read: {error.strerror}; parfocal keys add makes one"
        ) from error
    if not stat.S_ISREG(mode) or len(held) > _MOST_BYTES:
        raise KeyFileInvalid(f"{path} is no file of at most {_MOST_BYTES >> 20} MiB, as keys are kept in")
    if mode & _OTHERS_WRITE:
        raise KeyFileInvalid(
            f"others than its owner may write the file of keys {path}, and so let themselves in; "
            f"chmod go-w {path}, and look whether all keys in it are yours: parfocal keys ls"
        )
    keys, faults = _keys_in(held)
    return KeyFile(keys, tuple(faults), bool(mode & _OTHERS_READ))


def add_key(
    path: Path, name: str, scopes: tuple[Scope, ...], expires: datetime | None, now: datetime
) -> tuple[Key, str]:
    """Adds a new key; returns it and its text, which is kept nowhere. Makes the file if there is none.

    Raises KeyFileInvalid, KeysBusy or OSError.
    """

    def added(lines: list[str]) -> tuple[list[str], tuple[Key, str]]:
        key, text = make_key(name, scopes, expires, _keys_in("\n".join(lines).encode())[0], now)
        return [*lines, key.line()], (key, text)

    return _changed(path, added, may_make=True)


def remove_key(path: Path, key_id: str) -> Key:
    """Removes a key, and returns it; raises KeyNotFound, KeyFileInvalid, KeysBusy or OSError."""

    def removed(lines: list[str]) -> tuple[list[str], Key]:
        keys = {number: key for number, line in enumerate(lines) if (key := _key_in(line)) is not None}
        gone = [number for number, key in keys.items() if key.id == key_id]
        if not gone:
            raise KeyNotFound(f"no key in {path} has the id {key_id[:40]!a}; parfocal keys ls shows them")
        return [line for number, line in enumerate(lines) if number not in gone], keys[gone[0]]

    return _changed(path, removed)


def _changed(path: Path, change: Callable[[list[str]], tuple[list[str], T]], may_make: bool = False) -> T:
    """Replaces the file's lines by those that `change` makes of them; returns what else it returns."""
    file = path.resolve()  # a link stays a link
    if may_make:
        file.parent.mkdir(parents=True, exist_ok=True)
    with _held(file.parent):
        if file.exists() or not may_make:
            read_keys(file)  # refuses what cannot be trusted
            lines = file.read_text("utf-8", "replace").splitlines()
        else:
            lines = []
        kept, result = change(lines)
        _replace(file, "".join(f"{line}\n" for line in kept))
    return result


def _replace(file: Path, text: str) -> None:
    """Writes the file whole: a reader, or a crash, finds the old one or the new one.

    It stays readable for whom it was, which is its owner alone where it is new.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "w", encoding="utf-8") as written:
            _give_like(descriptor, file)
            written.write(text)
            written.flush()
            os.fsync(descriptor)
        partial.replace(file)
    except BaseException:  # an interrupt too: nobody else would remove the part that is written
        partial.unlink(missing_ok=True)
        raise


def _give_like(descriptor: int, file: Path) -> None:
    """Gives the new file the mode and, by root, the owner of the old one, or the folder's."""
    found = (file if file.exists() else file.parent).stat()
    if file.exists():
        os.fchmod(descriptor, stat.S_IMODE(found.st_mode))
    if os.geteuid() == 0:
        with contextlib.suppress(PermissionError):  # a container's root may not be allowed to change owners
            os.fchown(descriptor, found.st_uid, found.st_gid)


def _keys_in(held: bytes) -> tuple[dict[str, Key], list[str]]:
    keys: dict[str, Key] = {}
    faults = []
    for number, line in enumerate(held.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip():
            continue
        try:
            key = read_line(line)
        except (ValueError, RecursionError, WireError) as error:
            faults.append(f"line {number} is no key: {error}")
            continue
        if key.id in keys:
            faults.append(f"line {number} has the id {key.id} of a line above, and does not count")
        keys.setdefault(key.id, key)
    return keys, faults


def _key_in(line: str) -> Key | None:
    try:
        return read_line(line)
    except (ValueError, RecursionError, WireError):
        return None


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Holds the folder's lock, alone; raises KeysBusy."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        until = time.monotonic() + _PATIENCE_S
        while not _locked(descriptor):
            if time.monotonic() >= until:
                raise KeysBusy(
                    f"another process has changed keys in {folder} for {_PATIENCE_S:g} s; try again"
                )
            time.sleep(_POLL_S)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
