"""Rows that a parent learnt before: some are learnt again, others tell what of them is forgotten."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.registry.values import JSON
from parfocal.training.data.lessons import lesson_reader
from parfocal.training.data.rows import Example, Row, row_of
from parfocal.training.data.split import Shares, keys_digest, parted, split
from parfocal.training.data.tokenising import content_key
from parfocal.training.findings import Finding, Findings, Severity


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much of a file is replayed: a `share` of what is learnt beside `beside` new rows, and how drawn.

    `held_out` is the fraction of the file that is held out, half of it where some of the parent's rows were
    to `choose` on: of the parent's own file these are the rows that the parent held out, too.
    """

    share: float
    beside: int
    seed: int
    held_out: float
    choose: bool


@dataclass(frozen=True, slots=True)
class Replay:
    """The rows to learn again, those held out, and the digest of the file that they are from."""

    learnt: tuple[Example, ...] = ()
    held_out: tuple[Example, ...] = ()
    digest: str = ""

    def record(self) -> dict[str, JSON]:
        """What was replayed, for the run's report and the published version; empty where nothing was."""
        if not self.digest:
            return {}
        return {
            "replay_data_digest": self.digest,
            "replay_rows": len(self.learnt),
            "replay_digest": keys_digest(map(content_key, self.learnt)),
            "replay_held_out_rows": len(self.held_out),
            "replay_held_out_digest": keys_digest(map(content_key, self.held_out)),
        }

    def words(self) -> str:
        """What was replayed, to go on with a line about the other rows."""
        if not self.digest:
            return ""
        return f"; {len(self.learnt)} replayed, and {len(self.held_out)} such to tell what is forgotten"


def replay_of(
    examples: Sequence[Example], digest: str, wanted: Wanted, apart: Sequence[Row], findings: Findings
) -> Replay:
    """Draws from `examples`, the rows of a file with this digest; what the rows `apart` ask is left out.

    The new rows decide on what both ask, and what is held out of them must not be learnt here.
    """
    if not examples:
        return Replay(digest=digest)
    source = row_of(examples[0]).source
    fresh = _unasked(examples, apart)
    asked = len(examples) - len(fresh)
    if asked:
        message = f"{asked} rows ask what rows of the data ask, too, and are not replayed"
        findings.add(Finding(Severity.NOTE, "REPLAY_KNOWN", message, source))
    rows = [row_of(example) for example in fresh]
    shares = Shares.of(len(rows), wanted.held_out, choose=wanted.choose, report=True)
    learnt, _, held_out = parted(fresh, split(rows, Shares(0, shares.held_out)))
    count = round(wanted.beside * wanted.share / (1 - wanted.share))
    chosen = sorted(random.Random(wanted.seed).sample(range(len(learnt)), min(count, len(learnt))))
    if not chosen or not held_out:
        message = (
            f"{len(fresh)} rows are left to replay, too few to learn some and to hold others out; name the "
            "file that the parent was trained on with --replay, or leave it out"
        )
        findings.add(Finding(Severity.ERROR, "NOTHING_TO_REPLAY", message, source))
    return Replay(tuple(learnt[at] for at in chosen), held_out, digest)


def _unasked(examples: Sequence[Example], apart: Sequence[Row]) -> list[Example]:
    rows = [row_of(example) for example in examples]
    read = lesson_reader((*apart, *rows))
    known = {lesson.prompt for row in apart for lesson in read(row)}
    return [
        example
        for example, row in zip(examples, rows, strict=True)
        if not any(lesson.prompt in known for lesson in read(row))
    ]
