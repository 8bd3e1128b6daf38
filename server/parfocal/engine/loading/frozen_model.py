"""Turns a loaded model into tensors and back: 4-bit linears, a backend's own, and all other tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from parfocal.engine.loading.cache_entry import Frozen
from parfocal.engine.model import Kept, LinearLayout, put

LAYOUT = 4  # 3: only bases whose weights are complete and finite; 4: heads are kept whole


def layout_facts(device: torch.device, linears: LinearLayout) -> dict[str, object]:
    """What else the tensors depend on: what made them, and for which kernels and device."""
    return {
        "layout": LAYOUT,
        "device": device.type,
        "linears": dict(linears.facts),
        "versions": {name: version(name) for name in ("torch", "transformers", "bitsandbytes")},
    }


def freeze(model: nn.Module, linears: LinearLayout) -> Frozen:
    """The tensors of a model that is loaded and packed but otherwise unchanged.

    A tensor shared by two modules is stored once.
    """
    found: dict[str, torch.Tensor] = {}
    notes: dict[str, Mapping[str, Any]] = {}
    for path, module in model.named_modules():
        if any(path.startswith(f"{whole}.") for whole in notes):
            continue
        kept = _kept_4bit(module) if isinstance(module, Linear4bit) else linears.keep(module)
        if kept is None:
            own = (*module.named_parameters(path, recurse=False), *module.named_buffers(path, recurse=False))
            found |= dict(own)
        else:
            notes[path] = kept.notes
            found |= _named(path, kept.tensors)
    tensors, aliases = _once(found)
    return Frozen(tensors, {"linears": notes, "aliases": aliases})


@dataclass(frozen=True, slots=True)
class Shell:
    """How to rebuild a model without its weights; `attention` is a name that transformers knows."""

    folder: Path
    dtype: torch.dtype
    attention: str

    def model(self) -> Any:
        """The model of the folder's configuration, its tensors without memory."""
        with torch.device("meta"):
            model: Any = AutoModelForCausalLM.from_config(
                AutoConfig.from_pretrained(self.folder), dtype=self.dtype, attn_implementation=self.attention
            )
        if (self.folder / "generation_config.json").is_file():
            model.generation_config = GenerationConfig.from_pretrained(self.folder)
        return model


def thaw(shell: Shell, frozen: Frozen, linears: LinearLayout) -> nn.Module:
    """The shell's model filled with the tensors, without copying them."""
    model = shell.model()
    tensors = dict(frozen.tensors)
    tensors |= {name: tensors[first] for name, first in frozen.notes["aliases"].items()}
    parts = _grouped(tensors)
    for path, notes in frozen.notes["linears"].items():
        is_4bit = "nf4" in notes
        put(
            model,
            path,
            _linear_4bit(notes, parts[path], shell.dtype)
            if is_4bit
            else linears.make(Kept(notes, parts[path])),
        )
    _fill(model, tensors)
    ready: nn.Module = model.eval()
    return ready


def _kept_4bit(module: Linear4bit) -> Kept:
    weight: Any = module.weight  # bitsandbytes' Params4bit: a tensor with the state of its numbers
    state = weight.quant_state.as_dict(packed=True)
    notes = {"outputs": module.out_features, "inputs": module.in_features, "nf4": True}
    return Kept(notes, {"weight": weight.data, "bias": module.bias, **state})


def _named(path: str, parts: Mapping[str, torch.Tensor | None]) -> dict[str, torch.Tensor]:
    return {f"{path}:{name}": part.detach() for name, part in parts.items() if part is not None}


def _grouped(tensors: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """The parts of the linears by path; other tensors have names without a colon."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        path, colon, part = name.partition(":")
        if colon:
            found.setdefault(path, {})[part] = tensor
    return found


def _once(found: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Each tensor under its first name, and the first names of the others."""
    firsts: dict[tuple[object, ...], str] = {}
    aliases = {}
    for name, tensor in found.items():
        first = firsts.setdefault((tensor.data_ptr(), tensor.shape, tensor.dtype), name)
        if first != name:
            aliases[name] = first
    return {name: found[name] for name in firsts.values()}, aliases


def _linear_4bit(sizes: Mapping[str, Any], parts: dict[str, torch.Tensor], dtype: torch.dtype) -> Linear4bit:
    weight, bias = parts.pop("weight"), parts.pop("bias", None)
    found = Linear4bit(
        sizes["inputs"],
        sizes["outputs"],
        bias is not None,
        compute_dtype=dtype,
        quant_type="nf4",
        device="meta",
    )
    found.weight = Params4bit.from_prequantized(weight, parts, device=weight.device, module=found)
    if bias is not None:
        found.bias = nn.Parameter(bias, requires_grad=False)
    return found


def _fill(model: nn.Module, tensors: Mapping[str, torch.Tensor]) -> None:
    """Fills in the model's missing parameters and buffers."""
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.is_meta:
                setattr(module, name, nn.Parameter(tensors[prefix + name], requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(module, name, tensors[prefix + name])
