"""The same work in PEFT's mixed batch: one padded `generate`, an adapter's name for each row.

PEFT gets what makes it fastest: transformers' own attention, bitsandbytes' fast CPU kernels, adapters in the
type of the activations. Its tokens are not compared here; the parity tests do that.
"""

import time
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

from parfocal.bench.errors import AnswerWrong
from parfocal.bench.workloads.calls import Call
from parfocal.engine.loading import quantisation_config

# How PEFT calls a row without an adapter.
_BASE_ROW = "__base__"


class PeftBatch:
    """A quantised base in PEFT with every adapter loaded. Memory is free again when nothing refers to it."""

    def __init__(self, model: Any, names: Mapping[str, str], device: str) -> None:
        self.model = model
        self._device = torch.device(device)
        self._names = {"": _BASE_ROW, **names}

    @torch.inference_mode()
    def seconds(self, calls: Sequence[Call], new_tokens: int) -> float:
        """Returns how long it takes to answer all calls in one batch. Raises AnswerWrong."""
        ids, mask = (torch.tensor(rows, device=self._device) for rows in padded(calls))
        begun = time.perf_counter()
        output: torch.Tensor = self.model.generate(
            input_ids=ids,
            attention_mask=mask,
            adapter_names=[self._names[call.adapter] for call in calls],
            do_sample=False,
            min_new_tokens=new_tokens,
            max_new_tokens=new_tokens,
        )
        shape = tuple(output.cpu().shape)
        seconds = time.perf_counter() - begun
        if shape != (len(calls), ids.shape[1] + new_tokens):
            raise AnswerWrong(f"PEFT returned tokens of shape {shape}")
        return seconds


def peft_batch(base: Path, adapters: Mapping[str, Path], dtype: str, device: str) -> PeftBatch:
    """Returns the base in `base` with the adapters, as PEFT itself loads them."""
    transformers_logging.disable_progress_bar()
    torch_dtype: torch.dtype = getattr(torch, dtype)
    model = AutoModelForCausalLM.from_pretrained(
        base,
        quantization_config=quantisation_config(torch_dtype),
        dtype=torch_dtype,
        device_map={"": torch.device(device)},
        use_safetensors=True,
    )
    return batch_on(model, adapters, dtype, device)


def batch_on(model: Any, adapters: Mapping[str, Path], dtype: str, device: str) -> PeftBatch:
    """Returns a quantised model of transformers with the adapters, their numbers in `dtype`."""
    names = {name: f"adapter-{at}" for at, name in enumerate(adapters)}
    for name, folder in adapters.items():
        model = _with_adapter(model, folder, names[name])
    for path, parameter in model.named_parameters():
        if "lora_" in path:
            parameter.data = parameter.data.to(torch.device(device), getattr(torch, dtype))
    return PeftBatch(model.eval(), names, device)


def padded(calls: Sequence[Call]) -> tuple[list[list[int]], list[list[int]]]:
    """Returns the prompts as rows of one length, and which of their tokens count.

    The padding stands before the prompt, because `generate` goes on where a row ends.
    """
    longest = max(len(call.prompt_ids) for call in calls)
    missing = [longest - len(call.prompt_ids) for call in calls]
    ids = [[0] * gap + list(call.prompt_ids) for gap, call in zip(missing, calls, strict=True)]
    return ids, [[0] * gap + [1] * (longest - gap) for gap in missing]


def _with_adapter(model: Any, folder: Path, name: str) -> Any:
    # Without low_cpu_mem_usage PEFT first fills every matrix with random numbers that the file then replaces.
    options: dict[str, Any] = {"low_cpu_mem_usage": True, "autocast_adapter_dtype": False}
    if not isinstance(model, PeftModel):
        with warnings.catch_warnings():
            # peft 0.21 reads transformers' deprecated alias, which is no news to whoever runs a bench.
            warnings.simplefilter("ignore", FutureWarning)
            return PeftModel.from_pretrained(model, str(folder), adapter_name=name, **options)
    model.load_adapter(str(folder), adapter_name=name, **options)
    return model
