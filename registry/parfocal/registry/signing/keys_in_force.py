"""The trusted keys of a process: a file's, as it is now."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from parfocal.registry.errors import InvalidKey
from parfocal.registry.signing.trusted_keys import TrustedKeys, read_trusted_keys, whole_trusted_keys

log = logging.getLogger(__name__)

# How often it is looked whether the file has changed.
_LOOK_S = 1.0
_NOBODY = TrustedKeys()
_Stamp = tuple[int, int, int, int, int] | None


class KeysInForce:
    """The keys in the file at `path`. Any thread may ask; the disk is asked at most once a second.

    What is changed there counts from then on. A line that is no key makes nobody trusted, and a file that is
    gone or cannot be trusted any more nobody at all: both are logged.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        """Raises InvalidKey also for a line that is no key: at start, a person looks."""
        self._path = path
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = clock()
        self._stamp = _stamp(path)
        self._keys = whole_trusted_keys(path)

    def now(self) -> TrustedKeys:
        """The keys; the same object as long as the file does not change."""
        with self._lock:
            if self._clock() - self._looked >= _LOOK_S:
                self._look()
            return self._keys

    def _look(self) -> None:
        self._looked = self._clock()
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = read_trusted_keys(self._path)
        except InvalidKey as error:
            self._keys = _NOBODY
            log.error("nobody is trusted to sign: %s", error)  # noqa: TRY400  # the operator's, not ours
            return
        for fault in self._keys.faults:
            log.error("%s: %s", self._path, fault)
        log.info("%d keys are trusted to sign", len(self._keys.keys))


class KeysWhenAsked:
    """The keys in the file at `path`, which is read when somebody asks, for a process that does so once."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> TrustedKeys:
        """The keys; raises InvalidKey."""
        return whole_trusted_keys(self._path)


def _stamp(path: Path) -> _Stamp:
    """What changes when it is written, opened to others, or replaced through a link, as mounted secrets."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode
