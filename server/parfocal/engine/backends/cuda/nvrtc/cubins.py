"""Compiled kernels on disk, so that only a first start compiles them."""

import contextlib
import logging
import os
import tempfile
from hashlib import sha256
from pathlib import Path

log = logging.getLogger(__name__)

_DIGEST_BYTES = 32


def cubins_home() -> Path:
    """Where they are kept: `$XDG_CACHE_HOME/parfocal/kernels`, else `~/.cache/parfocal/kernels`."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "parfocal" / "kernels"


class Cubins:
    """Cubins by key in a folder, which any number of processes share; one that is damaged counts as absent.

    An entry is the sha256 of a cubin, then the cubin. It appears as a whole: a process that is killed while
    it writes leaves the old entry or none. Where the folder cannot be written, nothing is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> bytes | None:
        """The cubin of that key."""
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
            self._write(key, sha256(cubin).digest() + cubin)
        except OSError as error:
            log.warning("compiled kernels are not kept, so every start compiles them: %s", error)

    def _write(self, key: str, entry: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=".writing-", dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(entry)
                file.flush()
                os.fsync(descriptor)
            os.replace(temporary, self._folder / key)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
