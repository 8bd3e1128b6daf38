"""Turns the system's file errors into the registry's. Knows no operation by name."""

import errno
import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from parfocal.registry.errors import RegistryForbidden, RegistryFull, RegistryReadOnly, StorageError

_FORBIDDEN = frozenset({errno.EACCES, errno.EPERM})
_LOOK = "see whether its folder is there and its disk is well, or choose another place"
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
# SQLite needs 32 KiB of shared memory for its index, and a few more pages for each change.
_HARDLY_ANYTHING = 256 << 10


@contextmanager
def disk_errors(location: Path | str) -> Iterator[None]:
    """Turns an OSError of its body into RegistryFull, RegistryForbidden, RegistryReadOnly and so on.

    The error names the file at fault, or `location` where the system names none.
    """
    try:
        yield
    except OSError as error:
        raise _from_os_error(error, str(location)) from error


def forbidden(path: Path | str, deed: str) -> RegistryForbidden:
    """The error for a file or folder that this user may not read or write."""
    return RegistryForbidden(
        f"permission denied: user {_user()} may not {deed} {path}; give that user the right, "
        "or run as the owner",
        path=str(path),
    )


def read_only(path: Path | str) -> RegistryReadOnly:
    """The error for a file or folder on a medium that is mounted read-only."""
    return RegistryReadOnly(
        f"registry {path} is on a read-only file system; mount it writable or use another", path=str(path)
    )


def full(path: Path | str, said: str) -> RegistryFull:
    """The error for a disk (or quota) without room for what was to be written."""
    return RegistryFull(
        f"no space left for {path} ({said}); free some on its disk: parfocal gc --copies frees what can be "
        "rebuilt, parfocal rm and gc what is not needed",
        path=str(path),
    )


def is_full(folder: Path) -> bool:
    """Whether the disk is nearly full, for when SQLite only reports an I/O error."""
    found = os.statvfs(folder)
    is_out_of_names = found.f_files > 0 and found.f_favail == 0
    return is_out_of_names or found.f_bavail * found.f_frsize < _HARDLY_ANYTHING


def is_mounted_read_only(folder: Path) -> bool:
    """Whether the medium is mounted read-only, whatever the permissions."""
    return bool(os.statvfs(folder).f_flag & os.ST_RDONLY)


def _from_os_error(error: OSError, location: str) -> StorageError:
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else location
    said = error.strerror or str(error)
    if error.errno in _FORBIDDEN:
        return forbidden(path, "open or change")
    if error.errno == errno.EROFS:
        return read_only(path)
    if error.errno in _FULL:
        return full(path, said)
    if error.errno == errno.EFBIG:
        return RegistryFull(
            f"{path} may not grow any further ({said}); raise the limit on the size of files (ulimit -f)",
            path=path,
        )
    if path == location:
        return StorageError(f"registry {location} failed: {said}; {_LOOK}", path=location)
    return StorageError(f"registry {location} failed at {path}: {said}; {_LOOK}", path=path)


def _user() -> str:
    try:
        return getpass.getuser() if os.geteuid() == os.getuid() else str(os.geteuid())
    except (OSError, KeyError):  # a container's user may have no name
        return str(os.geteuid())
