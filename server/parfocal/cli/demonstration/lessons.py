"""What the demo's adapters learn, and how. Knows data and training; nothing of servers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from parfocal.training import TrainConfig, TrainResult, Watcher, train
from parfocal.training.examples import RECIPES, Datasets, Recipe, Row, datasets, office_memos, support_emails

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
    recipe: Recipe
    parent: str | None = None


@dataclass(frozen=True, slots=True)
class Lessons:
    """All that the demo teaches; `revised_memo` continues from the first version of `memo`."""

    support: Lesson
    memo: Lesson
    revised_memo: Lesson


def full_lessons() -> Lessons:
    """The lessons of the demo: e-mail to JSON, note to memo, and the memo's new house style."""
    emails = datasets(support_emails, RECIPES["emails"].rows, held_out=50, seed=1)
    notes = datasets(office_memos, RECIPES["memos"].rows, held_out=50, seed=2)
    revision = Recipe(rows=160, steps=20, batch_size=8, learning_rate=2e-3)
    style = datasets(office_memos, revision.rows, held_out=30, seed=3)
    revised = Datasets(*(tuple(map(_revise, r)) for r in (style.training, style.held_out, style.new_wording)))
    return Lessons(
        Lesson(SUPPORT, "support e-mail → JSON record", emails, RECIPES["emails"]),
        Lesson(MEMO, "plain note → office memo of 1995", notes, RECIPES["memos"]),
        Lesson(MEMO, "the same memo in the new house style", revised, revision, parent=f"{MEMO}@1"),
    )


def learn(lesson: Lesson, folder: Path, registry: str, watcher: Watcher) -> TrainResult:
    """Trains the lesson's adapter in `folder` and publishes it to `registry`."""
    run = _run(lesson, folder)
    config = TrainConfig(
        data=_write(rows_of(lesson, folder), lesson.data.training),
        held_out=_write(run.with_suffix(".held-out.jsonl"), lesson.data.held_out),
        name=lesson.name,
        base="tiny",
        registry=registry,
        output=run,
        parent=lesson.parent,
        rendering="chat",
        rank=16,
        alpha=32,
        batch_size=lesson.recipe.batch_size,
        steps=lesson.recipe.steps,
        learning_rate=lesson.recipe.learning_rate,
        evaluations=1,
        keep="last",
        answers=0,  # the tour asks the server
    )
    return train(config, watcher)


def rows_of(lesson: Lesson, folder: Path) -> Path:
    """Where `learn` leaves the rows that the lesson teaches."""
    return _run(lesson, folder).with_suffix(".jsonl")


def _run(lesson: Lesson, folder: Path) -> Path:
    return folder / f"{lesson.name.replace('/', '-')}-{'2' if lesson.parent else '1'}"


def _revise(row: Row) -> Row:
    completion = row["completion"]
    for old, new in _REVISION:
        completion = completion.replace(old, new)
    return Row(prompt=row["prompt"], completion=completion)


def _write(path: Path, rows: Sequence[Row]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path
