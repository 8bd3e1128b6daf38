"""Turns a loaded model into tensors and back: its 4-bit linears, the native ones, and all other tensors."""

from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

from parfocal.engine.backends.native import linear
from parfocal.engine.backends.native.library import Library, sources_digest
from parfocal.engine.backends.native.linear import NativeHead, NativeLinear, Numbers, Packed
from parfocal.engine.loading.cache_entry import Frozen
from parfocal.engine.loading.cpu_linears import put

LAYOUT = 3  # 3: only bases whose weights were all there, and finite
_NEAR = ".near"


def layout_facts(device: torch.device, tiling: Library | None) -> dict[str, object]:
    """Returns what else the tensors depend on: who made them, and for which kernels and device."""
    packing = sha256(Path(linear.__file__).read_bytes()).hexdigest()
    return {
        "layout": LAYOUT,
        "device": device.type,
        "kernels": "" if tiling is None else f"{sources_digest()} {packing}",
        "versions": {name: version(name) for name in ("torch", "transformers", "bitsandbytes")},
    }


def freeze(model: nn.Module) -> Frozen:
    """Returns the tensors of a model that is loaded, and may have native linears, but is not changed further.

    A tensor that two modules share is held once.
    """
    found: dict[str, torch.Tensor] = {}
    linears: dict[str, dict[str, Any]] = {}
    for path, module in model.named_modules():
        if isinstance(module, NativeLinear):
            linears[path] = {
                "outputs": module.out_features,
                "inputs": module.in_features,
                "numbers": int(module.numbers),
            }
            found |= _named(path, module.kept)
        elif isinstance(module, Linear4bit):
            weight: Any = module.weight  # bitsandbytes' Params4bit: a tensor with the state of its numbers
            linears[path] = {"outputs": module.out_features, "inputs": module.in_features, "nf4": True}
            state = weight.quant_state.as_dict(packed=True)
            found |= _named(path, {"weight": weight.data, "bias": module.bias, **state})
        elif isinstance(module, NativeHead):
            found |= {f"{path}.weight": module.weight}
            found |= {} if module.bias is None else {f"{path}.bias": module.bias}
        else:
            own = (*module.named_parameters(path, recurse=False), *module.named_buffers(path, recurse=False))
            found |= dict(own)
    tensors, aliases = _once(found)
    return Frozen(tensors, {"linears": linears, "aliases": aliases})


def thaw(
    folder: Path, frozen: Frozen, dtype: torch.dtype, attention: str, native: Library | None
) -> nn.Module:
    """Returns the model of `folder`'s configuration made of the tensors, which it takes as they are."""
    with torch.device("meta"):
        model: Any = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(folder), dtype=dtype, attn_implementation=attention
        )
    if (folder / "generation_config.json").is_file():
        model.generation_config = GenerationConfig.from_pretrained(folder)
    tensors = dict(frozen.tensors)
    tensors |= {name: tensors[first] for name, first in frozen.notes["aliases"].items()}
    parts = _grouped(tensors)
    linears = {
        path: _linear(sizes, parts[path], dtype, native) for path, sizes in frozen.notes["linears"].items()
    }
    heads = {path for path in linears if path.endswith(_NEAR)}
    for path in linears.keys() - heads:
        put(model, path, linears[path])
    _fill(model, tensors)
    for path in heads:
        head: Any = model.get_submodule(path.removesuffix(_NEAR))
        near = linears[path]
        assert native is not None and isinstance(near, NativeLinear)
        put(model, path.removesuffix(_NEAR), NativeHead(native, head, near))
    ready: nn.Module = model.eval()
    return ready


def _named(path: str, parts: Mapping[str, torch.Tensor | None]) -> dict[str, torch.Tensor]:
    return {f"{path}:{name}": part.detach() for name, part in parts.items() if part is not None}


def _grouped(tensors: Mapping[str, torch.Tensor]) -> dict[str, dict[str, torch.Tensor]]:
    """Returns the parts of the linears by path; other tensors have names without a colon."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        path, colon, part = name.partition(":")
        if colon:
            found.setdefault(path, {})[part] = tensor
    return found


def _once(found: Mapping[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Returns each tensor under its first name, and the first names of the others."""
    firsts: dict[tuple[object, ...], str] = {}
    aliases = {}
    for name, tensor in found.items():
        first = firsts.setdefault((tensor.data_ptr(), tensor.shape, tensor.dtype), name)
        if first != name:
            aliases[name] = first
    return {name: found[name] for name in firsts.values()}, aliases


def _linear(
    sizes: Mapping[str, Any], parts: dict[str, torch.Tensor], dtype: torch.dtype, native: Library | None
) -> nn.Module:
    if "nf4" in sizes:
        return _linear_4bit(sizes, parts, dtype)
    assert native is not None
    packed = Packed(sizes["outputs"], sizes["inputs"], Numbers(sizes["numbers"]), **parts)
    return NativeLinear(native, packed)


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
    """Gives the model the parameters and buffers that it lacks."""
    for path, module in model.named_modules():
        prefix = f"{path}." if path else ""
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.is_meta:
                setattr(module, name, nn.Parameter(tensors[prefix + name], requires_grad=False))
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_meta:
                setattr(module, name, tensors[prefix + name])
