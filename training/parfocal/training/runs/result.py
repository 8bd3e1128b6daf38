"""The result of a run: scores of base and adapter, where things are, what was published."""

from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.values import JSON
from parfocal.training.runs.comparison import Gain

_STILL_FALLING = (
    "The loss on rows that are not learnt was still falling after {} steps; more --steps may give a better "
    "adapter"
)


@dataclass(frozen=True, slots=True)
class Figures:
    """One model on the held-out rows, on the 4-bit base as served. `exact_match` None: not requested."""

    loss: float
    token_accuracy: float
    exact_match: float | None


@dataclass(frozen=True, slots=True)
class TrainResult:
    """A finished run. `version` and `digest` are None when nothing was published.

    `best_step` is the step whose adapter was kept; `still_falling`: the held-out loss had not come to rest.
    `seconds` and `tokens_per_second` are of the training loop, of its last part where the run was resumed.
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
    gain: Gain

    def metrics(self) -> dict[str, float]:
        """The evaluation as recorded in the registry, for gates to read."""
        found = {
            "base_loss": self.base.loss,
            "adapter_loss": self.adapter.loss,
            "base_token_accuracy": self.base.token_accuracy,
            "adapter_token_accuracy": self.adapter.token_accuracy,
            "loss_gain": self.gain.mean,
            "loss_gain_low": self.gain.low,
            "loss_gain_high": self.gain.high,
            "base_exact_match": self.base.exact_match,
            "adapter_exact_match": self.adapter.exact_match,
        }
        return {name: value for name, value in found.items() if value is not None}

    def to_json(self) -> dict[str, JSON]:
        return {
            "name": self.name,
            "version": self.version,
            "digest": self.digest,
            "output": str(self.output),
            "adapter_folder": str(self.adapter_folder),
            "curve": str(self.curve),
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
        """A small table of base against adapter, and where to look, as text."""
        rows = [
            ("loss", f"{self.base.loss:.4f}", f"{self.adapter.loss:.4f}"),
            ("token accuracy", f"{self.base.token_accuracy:.1%}", f"{self.adapter.token_accuracy:.1%}"),
        ]
        if self.base.exact_match is not None and self.adapter.exact_match is not None:
            rows.append(("exact match", f"{self.base.exact_match:.1%}", f"{self.adapter.exact_match:.1%}"))
        head = f"{f'{self.examples} held-out rows':<22}{'base':>10}{'adapter':>10}"
        table = [head, *(f"{name:<22}{base:>10}{adapter:>10}" for name, base, adapter in rows)]
        interval = f"{self.gain.low:+.3f} to {self.gain.high:+.3f}"
        return [
            *table,
            f"Verdict: {self.gain.verdict} (loss per row lower by {self.gain.mean:.3f}, 95 %: {interval})",
            *([_STILL_FALLING.format(self.steps)] if self.still_falling else []),
            f"Loss curve: {self.curve}",
            *([f"Published as {self.name}@{self.version} ({self.digest})"] if self.version else []),
        ]
