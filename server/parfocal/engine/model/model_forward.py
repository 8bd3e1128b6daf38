"""The base's forward pass through transformers' own model code."""

import torch

from parfocal.engine.model.profile import watched_attention, watched_lora
from parfocal.engine.model.resident import ResidentBase
from parfocal.engine.model.step_work import StepWork
from parfocal.engine.scheduling import LaidRow
from parfocal.engine.stopwatch import SCHEDULING


class ModelForward:
    """Calls the transformers model, whose linears and attention are ours."""

    def __init__(self, base: ResidentBase, work: StepWork) -> None:
        self._base = base
        self._work = work

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """The logits `[places, vocabulary]` of the batch's places `last`, as float32."""
        base, watch = self._base, self._base.backend.watch
        ids = torch.tensor([[t for item in laid for t in item.row.token_ids]], device=base.device)
        at = [p for item in laid for p in range(item.row.start, item.length)]
        with watch.part(SCHEDULING):
            lora, attention = self._work.lora(laid), self._work.attention(laid)
        with base.active.during(watched_lora(lora, watch)):
            output = base.model(
                input_ids=ids,
                position_ids=torch.tensor([at], device=base.device),
                use_cache=False,
                logits_to_keep=torch.tensor(last or [0], device=base.device),
                step=watched_attention(attention, watch),
            )
        logits: torch.Tensor = output.logits[0]
        return logits.float()
