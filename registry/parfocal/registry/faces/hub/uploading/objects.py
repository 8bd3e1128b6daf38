"""Large files that come before their commit: who may send which, and whether it is what came."""

import hashlib
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.errors import InvalidUpload, Overloaded
from parfocal.registry.faces.hub.errors import RouteUnknown

_VALID_S = 3600.0
# One for each large file that somebody is about to send.
_MOST = 10_000


@dataclass(frozen=True, slots=True)
class Ticket:
    """The right to send one file into one repository: clients of the Hub send it without their key."""

    name: str
    sha256: str
    size: int
    until: float


class Tickets:
    """The tickets in force. Of one event loop."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._tickets: dict[str, Ticket] = {}

    def give(self, name: str, sha256: str, size: int) -> str:
        """A new ticket; raises Overloaded."""
        now = self._clock()
        while self._tickets and next(iter(self._tickets.values())).until <= now:  # the oldest is the first
            del self._tickets[next(iter(self._tickets))]
        if len(self._tickets) >= _MOST:
            raise Overloaded(f"{_MOST} large files are about to be sent, as many as may be; try again soon")
        word = secrets.token_urlsafe(24)
        self._tickets[word] = Ticket(name, sha256, size, now + _VALID_S)
        return word

    def shown(self, word: str) -> Ticket:
        """What a ticket allows; raises RouteUnknown."""
        ticket = self._tickets.get(word)
        if ticket is None or ticket.until <= self._clock():
            raise RouteUnknown("this address for an upload is not, or no longer, given out; ask for another")
        return ticket


class Arrival:
    """A file as it arrives at `path`. Calls block."""

    def __init__(self, path: Path, ticket: Ticket) -> None:
        self._ticket = ticket
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._size = 0

    def add(self, piece: bytes) -> None:
        """Takes the next bytes; raises InvalidUpload or OSError."""
        self._size += len(piece)
        if self._size > self._ticket.size:
            raise InvalidUpload(
                f"the file is longer than the {self._ticket.size} bytes announced", field="size"
            )
        self._digest.update(piece)
        self._file.write(piece)

    def finish(self) -> None:
        """Raises InvalidUpload unless it is the file that was announced."""
        self.close()
        if self._size != self._ticket.size or self._digest.hexdigest() != self._ticket.sha256:
            raise InvalidUpload(
                f"{self._size} bytes with sha256 {self._digest.hexdigest()} came in place of "
                f"{self._ticket.size} with {self._ticket.sha256}; send the file again",
                field="oid",
            )

    def close(self) -> None:
        """Closes the file."""
        self._file.close()
