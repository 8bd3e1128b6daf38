"""What the demo's adapters learn, and how. Knows data and training; nothing of servers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parfocal.training import TrainConfig, TrainResult, Watcher, train
from parfocal.training.examples import Datasets, Row, datasets, office_memos, support_emails

SUPPORT = "demo/support"
MEMO = "demo/memo"

# The second version of the memo adapter follows the office into the next century.
_REVISION = (
    ("MEMORANDUM", "MEMORANDUM (by e-mail)"),
    ("Kindly reply by facsimile.", "Kindly reply by e-mail."),
)


@dataclass(frozen=True, slots=True)
class Lesson:
    """One job to learn: rows, and the settings that suit them on the embedded base."""

    name: str
    title: str
    data: Datasets
    steps: int
    learning_rate: float
    parent: str | None = None


def support_lesson() -> Lesson:
    """Returns the first job: a customer's e-mail becomes one line of JSON."""
    data = datasets(support_emails, training=400, held_out=50, seed=1)
    return Lesson(SUPPORT, "support e-mail → JSON record", data, steps=75, learning_rate=3e-3)


def memo_lesson() -> Lesson:
    """Returns the second job: a plain note becomes an office memo of 1995."""
    data = datasets(office_memos, training=400, held_out=50, seed=2)
    return Lesson(MEMO, "plain note → office memo of 1995", data, steps=75, learning_rate=3e-3)


def revised_memo_lesson(parent: str) -> Lesson:
    """Returns what version 2 of the memo adapter learns on top of `parent`: the house style has changed."""
    old = datasets(office_memos, training=160, held_out=30, seed=3)
    data = Datasets(*(tuple(map(_revise, rows)) for rows in (old.training, old.held_out, old.new_wording)))
    return Lesson(MEMO, "the same memo in the new house style", data, 20, 2e-3, parent)


def learn(lesson: Lesson, folder: Path, registry: str, watcher: Watcher) -> TrainResult:
    """Trains the lesson's adapter in `folder` and publishes it to `registry`."""
    run = folder / f"{lesson.name.replace('/', '-')}-{'2' if lesson.parent else '1'}"
    config = TrainConfig(
        data=_write(run.with_suffix(".jsonl"), lesson.data.training),
        held_out=_write(run.with_suffix(".held-out.jsonl"), lesson.data.held_out),
        name=lesson.name,
        base="tiny",
        registry=registry,
        output=run,
        parent=lesson.parent,
        rendering="chat",
        rank=16,
        alpha=32,
        steps=lesson.steps,
        learning_rate=lesson.learning_rate,
        evaluations=1,
        keep="last",
    )
    return train(config, watcher)


def _revise(row: Row) -> Row:
    completion = row["completion"]
    for old, new in _REVISION:
        completion = completion.replace(old, new)
    return Row(prompt=row["prompt"], completion=completion)


def _write(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
