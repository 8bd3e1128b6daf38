"""What became of each trial, and what all of them tell: values only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from parfocal.registry.values import JSON
from parfocal.training.search.space import shown, words


class Outcome(Enum):
    """How a trial ended."""

    FINISHED = "finished"
    PRUNED = "pruned"
    DIVERGED = "diverged"
    REFUSED = "refused"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Scoring:
    """The validation loss after `step` of `steps`, as far as these were known then."""

    step: int
    steps: int
    loss: float


@dataclass(frozen=True, slots=True)
class Trial:
    """One run of a search. `loss` is its lowest on the validation rows; None while it has none.

    `number` counts from 1; `seconds` are of all its parts. `reason` says why it ended early.
    """

    number: int
    settings: Mapping[str, Any]
    outcome: Outcome
    curve: tuple[Scoring, ...] = ()
    seconds: float = 0.0
    reason: str = ""

    @property
    def loss(self) -> float | None:
        """The lowest loss, which is that of the adapter it kept."""
        return min((each.loss for each in self.curve), default=None)

    def to_json(self) -> dict[str, JSON]:
        """The trial as a JSON object."""
        return {
            "trial": self.number,
            "settings": {
                name: list(value) if isinstance(value, tuple) else value
                for name, value in self.settings.items()
            },
            "outcome": self.outcome.value,
            "loss": self.loss,
            "curve": [[each.step, each.loss] for each in self.curve],
            "steps": self.curve[-1].steps if self.curve else None,
            "seconds": round(self.seconds, 3),
            **({"reason": self.reason} if self.reason else {}),
        }

    def line(self) -> str:
        """What became of it, in one line."""
        at = self.curve[-1] if self.curve else None
        if self.outcome is Outcome.FINISHED and at is not None:
            how = f"loss {self.loss:.4f} in {at.step} steps, {self.seconds:.0f} s"
        else:
            where = f" at step {at.step} of {at.steps}, loss {at.loss:.4f}" if at else ""
            how = f"{self.outcome.value}{where}"
        return f"{how}; {words(self.settings)}"


@dataclass(frozen=True, slots=True)
class Found:
    """All trials of a search with the importance of what was searched, from 0 to 1; and the base's loss."""

    trials: Sequence[Trial]
    importance: Mapping[str, float] = field(default_factory=dict)
    base_loss: float | None = None

    @property
    def best(self) -> Trial | None:
        """The finished trial with the lowest loss, the first of equals."""
        done = [each for each in self.trials if each.outcome is Outcome.FINISHED and each.loss is not None]
        return min(done, key=lambda each: (each.loss, each.number), default=None)

    @property
    def seconds(self) -> float:
        """Of all trials."""
        return sum(each.seconds for each in self.trials)

    def counts(self) -> dict[str, int]:
        """How many trials ended which way."""
        return {
            outcome.value: sum(each.outcome is outcome for each in self.trials)
            for outcome in Outcome
            if any(each.outcome is outcome for each in self.trials)
        }

    def to_json(self) -> dict[str, JSON]:
        """The search as a JSON object."""
        best = self.best
        return {
            "best": None if best is None else best.number,
            "base_loss": self.base_loss,
            "importance": dict(self.importance),
            "seconds": round(self.seconds, 3),
            "trials": [each.to_json() for each in self.trials],
        }

    def lines(self) -> list[str]:
        """The trials as a table, the best first, and what they tell, as text."""
        names = list(dict.fromkeys(name for each in self.trials for name in each.settings))
        order = sorted(self.trials, key=lambda each: (each.outcome is not Outcome.FINISHED, _loss(each)))
        head = ["trial", "loss", *names, "steps", "s", ""]
        rows = [
            [
                str(each.number),
                "" if each.loss is None else f"{each.loss:.4f}",
                *(shown(each.settings.get(name, "")) for name in names),
                f"{each.curve[-1].step}" if each.curve else "0",
                f"{each.seconds:.0f}",
                "" if each.outcome is Outcome.FINISHED else each.outcome.value,
            ]
            for each in order
        ]
        widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
        table = [
            "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (head, *rows)
        ]
        if self.importance:
            parts = ", ".join(f"{name} {share:.0%}" for name, share in self.importance.items())
            table.append(f"Of the order of {len(self.trials)} losses, each by itself explains: {parts}")
        ended = ", ".join(f"{count} {how}" for how, count in self.counts().items())
        which = "none" if self.best is None else f"trial {self.best.number} ({words(self.best.settings)})"
        return [*table, f"Best: {which}; {ended} in {self.seconds:.0f} s"]


def _loss(trial: Trial) -> float:
    return float("inf") if trial.loss is None else trial.loss
