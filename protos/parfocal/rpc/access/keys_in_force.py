"""The keys that a running server lets in: a file's, as it is now. Does not know what they are wanted for."""

import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from parfocal.rpc.access.callers import Caller, unknown
from parfocal.rpc.access.errors import KeyExpired, KeyFileInvalid, KeyRevoked
from parfocal.rpc.access.key_file import KeyFile, read_keys
from parfocal.rpc.access.keys import Key, hash_of, is_of, split, written

log = logging.getLogger(__name__)

# How often a request looks whether the file has changed.
LOOK_S = 1.0
# Compared with where no key has the id, so that an id cannot be told from the time that a refusal takes.
_NO_KEY = hash_of("")

_Stamp = tuple[int, int, int, int, int] | None


def _now() -> datetime:
    return datetime.now(UTC)


class KeysInForce:
    """The keys in the file at `path`. Any thread may ask; the disk is asked at most once a second.

    What is changed there counts from then on. A line that is no key opens nothing, and a file that is gone or
    cannot be trusted any more opens nothing at all: both are logged.
    """

    def __init__(
        self, path: Path, now: Callable[[], datetime] = _now, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Raises KeyFileInvalid also for a line that is no key: at start, a person looks."""
        self._path = path
        self._now = now
        self._clock = clock
        self._lock = threading.Lock()
        self._looked = clock()
        self._stamp = _stamp(path)
        found = read_keys(path)
        if found.faults:
            raise KeyFileInvalid(f"{path}: {found.faults[0]}; mend or remove it")
        self._keys = self._taken(found)

    def caller(self, text: str) -> Caller:
        """Who shows this key; raises KeyUnknown or KeyExpired."""
        parts = split(text)
        if parts is None:
            raise unknown(text)
        own_id, secret = parts
        key = self._fresh().get(own_id)
        if not is_of(secret, key.sha256 if key is not None else _NO_KEY) or key is None:
            raise unknown(text)
        self._check_time(key)
        return Caller(key.id, key.name, key.scopes, key.sha256)

    def check(self, caller: Caller) -> None:
        """Raises KeyRevoked or KeyExpired if the caller's key does not let it do any more what it did."""
        if not caller.key_id:
            return
        key = self._fresh().get(caller.key_id)
        if key is None or key.sha256 != caller.mark or not set(caller.scopes) <= set(key.scopes):
            raise KeyRevoked(
                f"the key {caller.name} (pf_{caller.key_id}_…) was removed or may do less now; what it had "
                "begun was ended",
                key=caller.key_id,
            )
        self._check_time(key)

    def _check_time(self, key: Key) -> None:
        if key.is_expired(self._now()):
            raise KeyExpired(
                f"the key {key.name} (pf_{key.id}_…) was good until {written(key.expires)}; ask the server's "
                "operator for a new one",
                key=key.id,
            )

    def _fresh(self) -> dict[str, Key]:
        with self._lock:
            if self._clock() - self._looked >= LOOK_S:
                self._look()
            return self._keys

    def _look(self) -> None:
        self._looked = self._clock()
        stamp = _stamp(self._path)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            found = read_keys(self._path)
        except KeyFileInvalid as error:
            self._keys = {}
            log.error("no key opens anything: %s", error)  # noqa: TRY400  # the operator's, not ours
            return
        for fault in found.faults:
            log.error("%s: %s", self._path, fault)
        self._keys = self._taken(found)
        log.info("%d keys are in force", len(self._keys))

    def _taken(self, found: KeyFile) -> dict[str, Key]:
        if found.others_read:
            log.warning("anybody may read %s, which has names and hashes; chmod o-r", self._path)
        if not found.keys:
            log.warning("%s has no key, so nobody is let in; parfocal keys add makes one", self._path)
        return found.keys


def _stamp(path: Path) -> _Stamp:
    """What changes when it is written, opened to others, or replaced through a link, as mounted secrets."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size, found.st_mode
