"""The base's forward pass through transformers' own model code."""

from typing import Any

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
        model: Any = base.model
        self._decoder, self._head = model.model, model.lm_head
        self._softcap: float | None = getattr(model.config.get_text_config(), "final_logit_softcapping", None)

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """The logits `[places, vocabulary]` of the batch's places `last`, as float32."""
        kept = torch.tensor(last or [0], device=self._base.device)
        logits: torch.Tensor = self._run(self._base.model, laid, logits_to_keep=kept).logits[0]
        return logits.float()

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        """The hidden states `[places, hidden]` of the batch's `places` after the final norm."""
        states: torch.Tensor = self._run(self._decoder, laid).last_hidden_state[0]
        return states[torch.tensor(places, device=states.device)]

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """The logits `[places, vocabulary]` of `states` `[places, hidden]`, as float32."""
        logits: torch.Tensor = self._head(states[None])[0]
        if self._softcap is not None:
            logits = torch.tanh(logits / self._softcap) * self._softcap
        return logits.float()

    def _run(self, model: Any, laid: list[LaidRow], **options: torch.Tensor) -> Any:
        base, watch = self._base, self._base.backend.watch
        ids = torch.tensor([[t for item in laid for t in item.row.token_ids]], device=base.device)
        at = [p for item in laid for p in range(item.row.start, item.length)]
        with watch.part(SCHEDULING):
            lora, attention = self._work.lora(laid), self._work.attention(laid)
        with base.active.during(watched_lora(lora, watch)):
            return model(
                input_ids=ids,
                position_ids=torch.tensor([at], device=base.device),
                use_cache=False,
                step=watched_attention(attention, watch),
                **options,
            )
