"""The base's forward pass as the runner calls it; the backend computes it."""

from typing import Protocol

import torch

from parfocal.engine.scheduling import LaidRow


class Forward(Protocol):
    """Runs the base once over a flat batch."""

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """The logits `[places, vocabulary]` of the batch's places `last`, as float32."""
