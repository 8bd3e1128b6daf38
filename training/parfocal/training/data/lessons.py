"""What a row teaches: answers, each after a prompt, which is all that comes before it. Knows no tokens.

Chats are often unrolled, one row for each answer, and a row may teach every answer in it: so two rows may
teach the same answer although neither is the other.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from parfocal.registry.values import dumps
from parfocal.training.data.rows import Row, normalised


@dataclass(frozen=True, slots=True)
class Lesson:
    """One answer that a row teaches, at `turn`; equal prompts and answers have equal keys."""

    turn: int
    prompt: bytes
    answer: bytes


Reader = Callable[[Row], tuple[Lesson, ...]]


def lesson_reader(rows: Sequence[Row]) -> Reader:
    """What reads the lessons of `rows`, with their system prompts as part of what they ask if those count."""
    counts = system_counts(rows)
    return lambda row: lessons(row, system=counts)


def system_counts(rows: Sequence[Row]) -> bool:
    """Whether the system prompts of `rows` tell what is asked.

    A few over many talks are variants of one instruction, and the answers are the same. Where they vary at
    least as much as the talks, as documents do that the same questions are put to, they count.
    """
    systems = {_digest(row.system) for row in rows}
    talks = {found[-1].prompt for row in rows if (found := lessons(row, system=False))}
    return len(systems) >= len(talks)


def lessons(row: Row, *, system: bool = True) -> tuple[Lesson, ...]:
    """What `row` teaches, in order; without `system` whatever its system prompt is."""
    return tuple(_read(row, system))


def _read(row: Row, system: bool) -> Iterator[Lesson]:
    """Hashes turn by turn, so that a long talk costs no more than its length.

    Raw rows and chats that say the same teach the same, whichever way they are rendered. A prompt without an
    answer, as graders take it, is a lesson whose answer is yet to come.
    """
    skipped = len(row.turns) - len(row.talk)
    so_far = hashlib.sha256(_digest(row.system) if system and row.system else b"")
    if row.tools:
        so_far.update(dumps(row.tools))
    for at, turn in enumerate(row.talk, start=skipped):
        said = _digest(turn.said())
        if turn.learn:
            # A text without a prompt is learnt as a whole, and asks nothing that another text asks too.
            yield Lesson(at, so_far.digest() if at else said, said)
        so_far.update(turn.role.encode() + b"\0" + said)
    if row.turns[-1].role != "assistant":
        yield Lesson(len(row.turns), so_far.digest(), b"")


def _digest(text: str) -> bytes:
    return hashlib.sha256(normalised(text).encode()).digest()
