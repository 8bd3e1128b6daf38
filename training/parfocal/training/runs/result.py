"""The result of a run: scores of base and adapter, where things are, what was published."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parfocal.registry.values import JSON
from parfocal.training.figures import Evaluated, lines
from parfocal.training.runs.comparison import Gain

_STILL_FALLING = (
    "The loss on rows that are not learnt was still falling after {} steps; more --steps may give a better "
    "adapter"
)


@dataclass(frozen=True, slots=True)
class Figures:
    """One model on the held-out rows, on the 4-bit base as served: its `loss`, and `others` by name.

    What the others are depends on the method: token accuracy, a preference's margin and accuracy, a reward.
    Of a method that answers, the task metrics are among them.
    """

    loss: float
    others: Mapping[str, float] = field(default_factory=dict)

    @property
    def token_accuracy(self) -> float:
        """The share of answer tokens that the model expects; not a number where that is not measured."""
        return self.others.get("token_accuracy", math.nan)

    def named(self) -> dict[str, float]:
        """All of it by name."""
        return {"loss": self.loss, **self.others}


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished run. `version` and `digest` are None when nothing was published.

    `best_step` is the step whose adapter was kept; `still_falling`: the held-out loss had not come to rest.
    `seconds` and `tokens_per_second` are of the training loop, of its last part where the run was resumed.
    `gains` are what the adapter is better by, row by row; the first decides the verdict. `evaluated` is the
    whole comparison, `report` its page, and `recorded` its metrics as the registry keeps them.
    """

    name: str
    version: int | None
    digest: str | None
    output: Path
    adapter_folder: Path
    curve: Path
    steps: int
    best_step: int
    still_falling: bool
    seconds: float
    tokens_per_second: float
    examples: int
    base: Figures
    adapter: Figures
    gains: Mapping[str, Gain]
    evaluated: Evaluated | None = None
    report: Path | None = None
    recorded: Mapping[str, float] = field(default_factory=dict)

    @property
    def gain(self) -> Gain:
        """What the method is judged by."""
        return next(iter(self.gains.values()))

    def metrics(self) -> dict[str, float]:
        """The evaluation as recorded in the registry, for gates to read."""
        return dict(self.recorded)

    def to_json(self) -> dict[str, JSON]:
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "output": str(self.output),
            "adapter_folder": str(self.adapter_folder),
            "curve": str(self.curve),
            "report": None if self.report is None else str(self.report),
            "steps": self.steps,
            "best_step": self.best_step,
            "still_falling": self.still_falling,
            "seconds": self.seconds,
            "tokens_per_second": self.tokens_per_second,
            "examples": self.examples,
            "verdict": self.gain.verdict,
            "metrics": self.metrics(),
        }

    def lines(self) -> list[str]:
        """A small table of base against adapter, what it supports, and where to look, as text."""
        return [
            *(lines(self.evaluated) if self.evaluated is not None else ()),
            *([_STILL_FALLING.format(self.steps)] if self.still_falling else []),
            *([f"Report: {self.report}"] if self.report else []),
            f"Loss curve: {self.curve}",
            *([f"Published as {self.name}@{self.version} ({self.digest})"] if self.version else []),
        ]


def shown(name: str, value: float) -> str:
    """A figure as people read it: shares as percentages, a loss to four places."""
    if name.endswith(("accuracy", "match")):
        return f"{value:.1%}"
    return f"{value:.4f}" if name == "loss" else f"{value:.3f}"
