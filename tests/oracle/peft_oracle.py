"""PEFT on the same NF4 base: makes adapters and says which tokens a request must get."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from transformers import AutoModelForCausalLM

from parfocal.engine.loading import Loading, load_quantised


@dataclass(frozen=True, slots=True)
class AdapterShape:
    """How an oracle adapter is made; `options` go to PEFT's LoraConfig."""

    rank: int
    alpha: int = 16
    targets: str | list[str] = "all-linear"
    options: dict[str, Any] = field(default_factory=dict)


def write_adapter(folder: Path, base: Path, shape: AdapterShape, seed: int) -> Path:
    """Writes a PEFT adapter with random A and B, large enough to change what the base says."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    config = LoraConfig(
        r=shape.rank,
        lora_alpha=shape.alpha,
        target_modules=shape.targets,
        task_type="CAUSAL_LM",
        **shape.options,
    )
    adapted = get_peft_model(model, config)
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(parameter, std=0.3 / shape.rank**0.5)
    adapted.save_pretrained(str(folder), save_embedding_layers=False)
    return folder


class PeftOracle:
    """One quantised base in PEFT, with transformers' eager attention and every adapter loaded.

    It computes each answer once.
    """

    def __init__(self, base: Path, adapters: dict[str, Path], device: str = "cpu") -> None:
        self._device = torch.device(device)
        self._answers: dict[tuple[tuple[int, ...], str, int], list[int]] = {}
        model = load_quantised(base, Loading(torch.float32, self._device, "eager", exact=True))
        self._model: Any = model
        for name, folder in adapters.items():
            if isinstance(self._model, PeftModel):
                self._model.load_adapter(str(folder), adapter_name=name)
            else:
                self._model = PeftModel.from_pretrained(model, str(folder), adapter_name=name)
        self._model.eval()

    def greedy(self, prompt: Sequence[int], adapter: str, tokens: int) -> list[int]:
        """Returns the `tokens` most likely next tokens one by one, alone in the batch; "" is the base."""
        asked = (tuple(prompt), adapter, tokens)
        if asked not in self._answers:
            self._answers[asked] = self._answer(*asked)
        return self._answers[asked]

    @torch.inference_mode()
    def _answer(self, prompt: Sequence[int], adapter: str, tokens: int) -> list[int]:
        if not adapter:
            with self._model.disable_adapter():
                return self._generate(prompt, tokens)
        self._model.set_adapter(adapter)
        return self._generate(prompt, tokens)

    @torch.inference_mode()
    def logprobs(self, prompt: Sequence[int], adapter: str) -> torch.Tensor:
        """Returns the log-probabilities `[tokens, vocabulary]` after a prompt's tokens; "" is the base."""
        with self._under(adapter):
            logits: torch.Tensor = self._model(input_ids=self._ids(prompt), use_cache=False).logits[0]
        return logits.log_softmax(-1)

    @torch.inference_mode()
    def states(self, prompt: Sequence[int], adapter: str) -> torch.Tensor:
        """Returns the last hidden states `[tokens, hidden]` of a prompt; "" is the base."""
        model: Any = self._model.get_base_model() if isinstance(self._model, PeftModel) else self._model
        with self._under(adapter):
            states: torch.Tensor = model.model(input_ids=self._ids(prompt), use_cache=False).last_hidden_state
        return states[0]

    def blend(self, name: str, parts: Mapping[str, float]) -> None:
        """Adds an adapter that is PEFT's own concatenation of others with weights."""
        self._model.add_weighted_adapter(
            list(parts), list(parts.values()), adapter_name=name, combination_type="cat"
        )

    def _under(self, adapter: str) -> AbstractContextManager[None]:
        if not adapter:
            disabled: AbstractContextManager[None] = self._model.disable_adapter()
            return disabled
        self._model.set_adapter(adapter)
        return nullcontext()

    def _ids(self, prompt: Sequence[int]) -> torch.Tensor:
        return torch.tensor([list(prompt)], device=self._device)

    def _generate(self, prompt: Sequence[int], tokens: int) -> list[int]:
        ids = torch.tensor([list(prompt)], device=self._device)
        answer: list[int] = []
        cache = None
        for _ in range(tokens):
            output = self._model(input_ids=ids, past_key_values=cache, use_cache=True)
            cache = output.past_key_values
            answer.append(int(output.logits[0, -1].argmax()))
            ids = torch.tensor([[answer[-1]]], device=self._device)
        return answer
