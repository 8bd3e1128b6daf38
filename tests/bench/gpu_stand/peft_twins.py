"""PEFT with many adapters of one shape, in seconds: it takes ever longer over each that it loads by itself.

PEFT loads the first. Every other one is that one's entry in each layer under another name, with its own
numbers: what `load_adapter` makes too, as a test checks.
"""

import copy
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer
from safetensors.torch import load_file
from torch import nn

from bench.rivals.peft_batch import PeftBatch, batch_on

_FIRST = "adapter-0"


def batch_of_twins(model: nn.Module, adapters: Mapping[str, Path], dtype: str, device: str) -> PeftBatch:
    """Returns what `batch_on` does for adapters whose settings are all the same."""
    names = {name: f"adapter-{at}" for at, name in enumerate(adapters)}
    first, *others = adapters
    loaded: Any = batch_on(model, {first: adapters[first]}, dtype, device).model
    for name in others:
        tensors = load_file(adapters[name] / "adapter_model.safetensors", device=device)
        for path, layer in _layers(loaded):
            _add_twin(layer, names[name], path, tensors)
        loaded.peft_config[names[name]] = loaded.peft_config[_FIRST]
    for path, parameter in loaded.named_parameters():
        if "lora_" in path:
            parameter.data = parameter.data.to(getattr(torch, dtype))
    return PeftBatch(loaded.eval(), names, device)


def _layers(model: PeftModel) -> Iterator[tuple[str, Any]]:
    return ((path, module) for path, module in model.named_modules() if isinstance(module, LoraLayer))


def _add_twin(layer: Any, name: str, path: str, tensors: Mapping[str, torch.Tensor]) -> None:
    """Copies every entry of the first adapter, then gives the copy's matrices their own numbers."""
    for entries in (*vars(layer).values(), *layer.children()):
        if isinstance(entries, dict | nn.ModuleDict) and _FIRST in entries:
            entries[name] = copy.deepcopy(entries[_FIRST])
    for part in ("lora_A", "lora_B"):
        numbers = tensors[f"{path}.{part}.weight"]
        getattr(layer, part)[name].weight = nn.Parameter(numbers, requires_grad=False)
