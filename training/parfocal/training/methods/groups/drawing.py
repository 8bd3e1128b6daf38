"""Writes answers to questions with the model that is trained on: drawn at a temperature, or the likeliest."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig

from parfocal.training.data import BaseEncoder


@dataclass(frozen=True, slots=True)
class Drawing:
    """How answers are drawn: up to `tokens` each; at temperature 0 the likeliest token is taken."""

    tokens: int
    temperature: float

    def draw(self, model: Any, prompts: Sequence[Sequence[int]], encoder: BaseEncoder) -> list[list[int]]:
        """An answer to each prompt, in tokens through its stop token, if it has one.

        Draws from torch's random state. Restores the model's mode.
        """
        device = next(model.parameters()).device
        longest = max(map(len, prompts))
        ids = torch.full((len(prompts), longest), encoder.pad_id)
        mask = torch.zeros_like(ids)
        for row, prompt in enumerate(prompts):
            ids[row, longest - len(prompt) :] = torch.tensor(list(prompt))
            mask[row, longest - len(prompt) :] = 1
        training = model.training
        model.eval()
        try:
            with torch.no_grad():
                written = model.generate(
                    input_ids=ids.to(device),
                    attention_mask=mask.to(device),
                    generation_config=self._settings(encoder),
                )
        finally:
            model.train(training)
        return [_through_stop(row, encoder) for row in written[:, longest:].tolist()]

    def _settings(self, encoder: BaseEncoder) -> GenerationConfig:
        drawn = {"temperature": self.temperature, "top_k": 0, "top_p": 1.0} if self.temperature else {}
        return GenerationConfig(
            do_sample=self.temperature > 0,
            max_new_tokens=self.tokens,
            pad_token_id=encoder.pad_id,
            eos_token_id=sorted(encoder.end_ids),
            **drawn,
        )


def _through_stop(ids: list[int], encoder: BaseEncoder) -> list[int]:
    stop = next((at for at, token in enumerate(ids) if token in encoder.end_ids), None)
    return ids if stop is None else ids[: stop + 1]
