"""What is said of a history that was read: its last seal, and what is wrong with which event."""

from dataclasses import dataclass

from parfocal.registry.errors import InvalidArgument
from parfocal.registry.values import parse_digest


@dataclass(frozen=True, slots=True)
class Seal:
    """The number of an event and its hash, by which it and all before it are known again."""

    sequence: int
    hash: str

    @classmethod
    def parse(cls, text: str) -> "Seal":
        """Reads `NUMBER:sha256:…`, as it is shown; raises InvalidArgument."""
        number, _, hash_text = text.partition(":")
        if not number.isdecimal() or len(number) > 18 or not int(number):
            raise InvalidArgument(
                f"{text[:100]!a} is no event's number and hash; write NUMBER:sha256:…, as it is shown",
                field="against",
            )
        return cls(int(number), parse_digest(hash_text))

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash}"


@dataclass(frozen=True, slots=True)
class HistoryFault:
    """What is wrong, and with which event; 0 where it is none in particular."""

    sequence: int
    problem: str

    def __str__(self) -> str:
        return f"event {self.sequence} {self.problem}" if self.sequence else self.problem


@dataclass(frozen=True, slots=True)
class HistoryVerification:
    """How many events were read, the seal of the last one, and what is wrong.

    `unconfirmed` is how many of the last ones the journal does not have: it may lag behind its index, and is
    told the rest with the next change. 0 where no journal was looked at.
    """

    events: int
    last: Seal
    faults: tuple[HistoryFault, ...]
    unconfirmed: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether nothing was wrong."""
        return not self.faults
