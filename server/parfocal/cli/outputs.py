"""Folders and files that commands write: they appear whole, or not at all. Knows no format."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parfocal.registry.disk import sync_descriptor, sync_folder

_IN_THE_WAY = "it is there already; give a new folder or file"
# What the system says where no folder can be made at all, whoever asks.
_NO_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ENOSYS)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
# What it says where a file cannot have two names, as on FAT and some mounts.
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


def check_new(target: Path) -> None:
    """Raises FileExistsError, with advice, where something is there already."""
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, _IN_THE_WAY, str(target))


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yields an empty folder, which is `target` once the scope has ended well, and gone otherwise.

    So nothing old can survive beside what is new. Raises FileExistsError, and OSError in words of `target`.
    """
    check_new(target)
    partial = _beside(target)
    with _in_words_of(target, partial):
        partial.mkdir(parents=True)
        try:
            yield partial
            _sync(partial)
            check_new(target)
            partial.rename(target)
            sync_folder(target.parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def new_file(target: Path) -> Iterator[Path]:
    """Yields the path of a file to be written, which is `target` once the scope has ended well.

    Raises FileExistsError, and OSError in words of `target`.
    """
    check_new(target)
    partial = _beside(target)
    with _in_words_of(target, partial):
        partial.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield partial
            _sync_file(partial)
            _place(partial, target)
            sync_folder(target.parent)
        finally:
            partial.unlink(missing_ok=True)


def _beside(target: Path) -> Path:
    return target.with_name(f".{target.name}.{os.getpid()}.partial")


def _place(partial: Path, target: Path) -> None:
    """Gives a file its name; a second name, unlike a rename, never takes that of another file."""
    try:
        os.link(partial, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        check_new(target)
        partial.rename(target)


def _sync(folder: Path) -> None:
    for at, _, names in os.walk(folder):
        for name in names:
            _sync_file(Path(at, name))
        sync_folder(Path(at))


def _sync_file(file: Path) -> None:
    descriptor = os.open(file, os.O_RDONLY)
    try:
        sync_descriptor(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _in_words_of(target: Path, partial: Path) -> Iterator[None]:
    """Names the place that was asked for in errors; nobody knows the one that it is written as."""
    try:
        yield
    except FileExistsError as error:
        raise FileExistsError(errno.EEXIST, _IN_THE_WAY, str(target)) from error
    except OSError as error:
        if not _is_about(error, partial):
            raise
        advice = "; give one in a place that can be written" if error.errno in _NO_PLACE else ""
        raise OSError(error.errno, f"{error.strerror}{advice}", str(target)) from error


def _is_about(error: OSError, partial: Path) -> bool:
    """Whether the error is of what is written, or of a folder above it; a full disk names no file."""
    name = error.filename2 or error.filename
    if name is None:
        return error.errno in _FULL
    place = Path(os.fsdecode(name))
    return place.is_relative_to(partial) or partial.is_relative_to(place)
