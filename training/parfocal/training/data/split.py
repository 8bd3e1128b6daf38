"""Which rows train, which choose and which are reported: decided by what rows teach, so always the same way.

What is chosen on some rows looks better on them than it is. So the rows that decide when to stop and which
adapter is kept (validation) are others than those that its figures are of (held out).
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from parfocal.registry.values import JSON
from parfocal.training.data.families import Families, families
from parfocal.training.data.lessons import Reader, lesson_reader
from parfocal.training.data.rows import Example, Row, row_of

E = TypeVar("E", bound=Example)

MAX_HELD_OUT = 200
_MOST = 5  # a prompt, or all that is held out for one purpose, is at most one fifth of the rows


@dataclass(frozen=True, slots=True)
class Split:
    """The rows for each purpose, in file order, and how many families they come from.

    `rule` says in words how they were parted; `common` is how many prompts were too common to keep the rows
    that share them together: answers to those are not scored.
    """

    train: tuple[Row, ...]
    validation: tuple[Row, ...]
    held_out: tuple[Row, ...]
    groups: int
    rule: str
    common: int = 0

    def record(self) -> dict[str, JSON]:
        """How the rows were split, for the run's report and for the published version."""
        return {
            "split": self.rule,
            "split_groups": self.groups,
            "train_rows": len(self.train),
            "train_digest": rows_digest(self.train),
            "validation_rows": len(self.validation),
            "validation_digest": rows_digest(self.validation),
            "validation_lines": lines_in_words(self.validation),
            "held_out_rows": len(self.held_out),
            "held_out_digest": rows_digest(self.held_out),
            "held_out_lines": lines_in_words(self.held_out),
        }

    def line(self) -> str:
        """The split in one line."""
        chosen = f"{len(self.validation)} to choose the adapter on, " if self.validation else ""
        return (
            f"{len(self.train)} rows to train on, {chosen}{len(self.held_out)} to report on; {self.rule}, "
            f"{self.groups} groups"
        )


@dataclass(frozen=True, slots=True)
class Shares:
    """How many rows are wanted for each purpose; 0 for none."""

    validation: int
    held_out: int

    @classmethod
    def of(cls, rows: int, fraction: float, *, choose: bool, report: bool) -> "Shares":
        """Shares `fraction` of the rows, half and half where some both choose and are reported."""
        parts = choose + report
        wanted = min(parts * MAX_HELD_OUT, math.ceil(rows * fraction))
        each = math.ceil(wanted / parts) if parts else 0
        return cls(each if choose else 0, each if report else 0)


def split(rows: Sequence[Row], shares: Shares) -> Split:
    """Parts `rows` so that nothing that a held-out row teaches is learnt, or chosen on.

    Families are ranked by the digest of what they teach; the first are held out, the last are for choosing,
    until there are as many rows as `shares` says. So neither the seed nor the order of the file matters, and
    adding rows moves few others. A family of more than a fifth of all rows stays in training.
    """
    read = lesson_reader(rows)
    most = max(shares.held_out, shares.validation, len(rows) // _MOST)
    found = families(rows, read, most)
    held_out = _take(found, range(len(found.families)), shares.held_out, most)
    left = [at for at in reversed(range(len(found.families))) if at not in held_out]
    validation = _take(found, left, shares.validation, most)
    parted = held_out | validation
    apart = {member for at in parted for member in found.families[at].members}
    return Split(
        train=tuple(row for at, row in enumerate(rows) if at not in apart),
        validation=_unseen(rows, found, validation, read),
        held_out=_unseen(rows, found, held_out, read),
        groups=len(found.families),
        rule="grouped by learnt prompts",
        common=len(found.common),
    )


def parted(examples: Sequence[E], parts: Split) -> tuple[tuple[E, ...], tuple[E, ...], tuple[E, ...]]:
    """Those of `examples`, whose rows were split, that train, that choose and that are reported."""
    by_place = {(row.source, row.line): example for example in examples for row in (row_of(example),)}
    train, validation, held_out = (
        tuple(by_place[row.source, row.line] for row in rows)
        for rows in (parts.train, parts.validation, parts.held_out)
    )
    return train, validation, held_out


def unseen(row: Row, read: Reader, known: Mapping[bytes, object] | frozenset[bytes]) -> Row:
    """The row without scoring its answers to prompts that are `known`."""
    turns = frozenset(lesson.turn for lesson in read(row) if lesson.prompt in known)
    return row.without_learning(turns) if turns else row


def rows_digest(rows: Sequence[Row]) -> str:
    """A sha256 over what `rows` teach, whatever their order, spelling in JSON or line numbers."""
    return keys_digest(row.content_key() for row in rows)


def keys_digest(keys: Iterable[bytes]) -> str:
    """A sha256 over `keys`, whatever their order."""
    digest = hashlib.sha256()
    for key in sorted(keys):
        digest.update(len(key).to_bytes(8, "big") + key)
    return f"sha256:{digest.hexdigest()}"


def lines_in_words(rows: Sequence[Row]) -> str:
    """The lines of `rows` in their file, runs shortened (`3-5 9`), as far as a version may record them."""
    lines = sorted(row.line for row in rows)
    parts = []
    start = 0
    for at, line in enumerate(lines, start=1):
        if at < len(lines) and lines[at] == line + 1:
            continue
        parts.append(str(line) if lines[start] == line else f"{lines[start]}-{line}")
        start = at
    more = f" and {len(parts) - MAX_HELD_OUT} more" if len(parts) > MAX_HELD_OUT else ""
    return " ".join(parts[:MAX_HELD_OUT]) + more


def _take(found: Families, ranked: Sequence[int], wanted: int, most: int) -> set[int]:
    """The first families that make up the `wanted` rows, at most `most` of them."""
    taken: set[int] = set()
    count = 0
    for at in ranked:
        if count >= wanted:
            break
        size = len(found.families[at].members)
        if count + size <= most:
            taken.add(at)
            count += size
    return taken


def _unseen(rows: Sequence[Row], found: Families, chosen: set[int], read: Reader) -> tuple[Row, ...]:
    members = sorted(member for at in chosen for member in found.families[at].members)
    return tuple(unseen(rows[member], read, found.common) for member in members)
