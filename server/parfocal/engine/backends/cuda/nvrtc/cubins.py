"""Compiled kernels on disk, so that only a first start compiles them."""

import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

log = logging.getLogger(__name__)

_DIGEST_BYTES = 32


def cubins_home() -> Path | None:
    """Where they are kept: `$XDG_CACHE_HOME/parfocal/kernels`, else `~/.cache/parfocal/kernels`.

    None for a user without a home.
    """
    stated = os.environ.get("XDG_CACHE_HOME", "")
    home = stated if stated.startswith("/") else os.path.expanduser("~/.cache")
    return Path(home) / "parfocal" / "kernels" if home.startswith("/") else None


class Cubins:
    """Cubins by key in a folder, which any number of processes share; one that is damaged counts as absent.

    An entry is the sha256 of a cubin, then the cubin. It appears as a whole: a process that is killed while
    it writes leaves the old entry or none. Where there is no folder or it cannot be written, nothing is kept.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def get(self, key: str) -> bytes | None:
        """The cubin of that key."""
        if self._folder is None:
            return None
        try:
            entry = (self._folder / key).read_bytes()
        except OSError:
            return None
        digest, cubin = entry[:_DIGEST_BYTES], entry[_DIGEST_BYTES:]
        if sha256(cubin).digest() == digest:
            return cubin
        log.warning("compiled kernel %s is damaged; compiling again", self._folder / key)
        return None

    def put(self, key: str, cubin: bytes) -> None:
        """Keeps a cubin in place of an older one."""
        try:
            if self._folder is None:
                raise FileNotFoundError("this user has no home; XDG_CACHE_HOME can say where to keep them")
            _write(self._folder, key, sha256(cubin).digest() + cubin)
        except OSError as error:
            log.warning("compiled kernels are not kept, so every start compiles them: %s", error)


def _write(folder: Path, key: str, entry: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=".writing-", dir=folder)
    with _unlinked_on_error(temporary):
        with os.fdopen(descriptor, "wb") as file:
            file.write(entry)
            file.flush()
            os.fsync(descriptor)
        os.replace(temporary, folder / key)


@contextlib.contextmanager
def _unlinked_on_error(path: str) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(path)
        raise
