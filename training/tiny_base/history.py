"""What a run has done so far: the loss curve, tokens and seconds."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Point:
    """One row of the curve; `train_loss` is the mean since the row before, in nats per weighted token."""

    step: int
    tokens: int
    seconds: float
    train_loss: float
    held_out_loss: float
    held_out_exact: float


@dataclass(slots=True)
class History:
    """Grows by one point at every checkpoint; `tokens` counts real tokens, without padding."""

    tokens: int = 0
    seconds: float = 0.0
    points: list[Point] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Writes the history as a JSON object."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "History":
        """Reads the history that `as_json` wrote."""
        points = [Point(**point) for point in data["points"]]
        return cls(tokens=data["tokens"], seconds=data["seconds"], points=points)
