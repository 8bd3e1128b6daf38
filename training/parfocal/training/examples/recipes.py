"""How the base `tiny` learns each job well within two minutes on two cores. Values only."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Recipe:
    """How many rows are trained on, in how many steps of how many rows, and at which learning rate."""

    rows: int
    steps: int
    batch_size: int
    learning_rate: float = 5e-3


RECIPES: Mapping[str, Recipe] = {
    "emails": Recipe(rows=3800, steps=240, batch_size=16),
    "memos": Recipe(rows=2000, steps=300, batch_size=8),
    "tickets": Recipe(rows=5000, steps=220, batch_size=32),
}
