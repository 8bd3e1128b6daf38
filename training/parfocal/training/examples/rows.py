"""Rows of training data, and datasets whose held-out prompts are never trained on."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Protocol, TypedDict

from parfocal.training.examples.phrasing import Wording


class Row(TypedDict):
    """One example: what the user sends and the whole answer."""

    prompt: str
    completion: str


class Job(Protocol):
    """Makes rows of one job, such as `support_emails`."""

    def __call__(self, count: int, seed: int, wording: Wording = "seen") -> Iterator[Row]:
        """Yields `count` rows."""


@dataclass(frozen=True, slots=True)
class Datasets:
    """Rows to train on, and held-out rows in the same wording and in sentences that training never shows."""

    training: tuple[Row, ...]
    held_out: tuple[Row, ...]
    new_wording: tuple[Row, ...]


def datasets(job: Job, training: int, held_out: int, seed: int) -> Datasets:
    """Makes `training` rows and twice `held_out` rows, in which no prompt occurs twice."""
    rows = examples(job, training + held_out, seed, "seen")
    return Datasets(
        training=tuple(rows[:training]),
        held_out=tuple(rows[training:]),
        new_wording=tuple(examples(job, held_out, seed + 1, "new")),
    )


def examples(job: Job, count: int, seed: int, wording: Wording = "seen") -> list[Row]:
    """`count` rows in which no prompt occurs twice: the first of twice as many."""
    by_prompt = {row["prompt"]: row for row in job(2 * count + 20, seed, wording)}
    return list(islice(by_prompt.values(), count))
