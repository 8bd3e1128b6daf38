"""The base's forward pass as the runner calls it, and the one through transformers' own model code."""

from typing import Protocol

import torch

from parfocal.engine.loading.base import ResidentBase
from parfocal.engine.model.step_work import StepWork
from parfocal.engine.scheduling import LaidRow


class Forward(Protocol):
    """Runs the base once over a flat batch."""

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """Returns the logits `[places, vocabulary]` of the batch's places `last`, as float32."""


class ModelForward:
    """Calls the transformers model, whose linears and attention are ours."""

    def __init__(self, base: ResidentBase, work: StepWork) -> None:
        self._base = base
        self._work = work

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """Returns the logits `[places, vocabulary]` of the batch's places `last`, as float32."""
        device = self._base.device
        ids = torch.tensor([[t for item in laid for t in item.row.token_ids]], device=device)
        at = [p for item in laid for p in range(item.row.start, item.length)]
        self._base.active.batch = self._work.lora(laid)
        output = self._base.model(
            input_ids=ids,
            position_ids=torch.tensor([at], device=device),
            use_cache=False,
            logits_to_keep=torch.tensor(last or [0], device=device),
            step=self._work.attention(laid),
        )
        logits: torch.Tensor = output.logits[0]
        return logits.float()
