"""Whether a transfer that was cut goes on: while it gets on, and for some time after. Knows no transfer."""

import logging
import time

from parfocal.registry.errors import BlobCorrupt, BlobsNotUploaded, RegistryError
from parfocal.rpc import WireError

log = logging.getLogger(__name__)

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 2.0
_ROUNDS = 2


class Persistence:
    """Lets a transfer be tried again until nothing has come of it for `patience_s` seconds.

    A server that was never reached is not waited for. What arrives spoilt, or is not kept, is sent again
    `_ROUNDS` times.
    """

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._got_on_at: float | None = None
        self._pause_s = _FIRST_PAUSE_S
        self._rounds = 0

    def reached(self) -> None:
        """The server has answered."""
        if self._got_on_at is None:
            self.got_on()

    def got_on(self) -> None:
        """More bytes are where they should be than ever before."""
        self._got_on_at = time.monotonic()
        self._pause_s = _FIRST_PAUSE_S

    def wait_or_raise(self, error: RegistryError | WireError) -> None:
        """Waits for the moment to try again; raises `error` where that helps no more."""
        if isinstance(error, BlobCorrupt | BlobsNotUploaded) and self._rounds < _ROUNDS:
            self._rounds += 1
        elif not _may_pass(error) or self._is_over():
            raise error
        log.info("going on in %.1f s: %s", self._pause_s, error)
        time.sleep(max(self._pause_s, min(error.retry_after_s or 0.0, _LONGEST_PAUSE_S)))
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)

    def _is_over(self) -> bool:
        return self._got_on_at is None or time.monotonic() > self._got_on_at + self._patience_s


def _may_pass(error: RegistryError | WireError) -> bool:
    return error.status == "UNAVAILABLE"
