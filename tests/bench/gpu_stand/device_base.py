"""A base of random weights, made and quantised where it computes: seconds for 8 B, and nothing on disk.

A larger one is made in pieces, where its weights in 16 bits would not fit. `random_bases` is the one place
that reaches into the engine: while it lasts, `load_base` is given such a model instead of reading one.
Everything after that, kernels and packing too, is the engine's own.
"""

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from accelerate import init_empty_weights  # type: ignore[import-untyped]  # it has no types
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM

from parfocal.engine.loading import Loading, base, quantisation_config
from parfocal.engine.model import put

_READING = "load_quantised"
# As transformers draws what it makes.
_STD = 0.02


def random_quantised(folder: Path, loading: Loading) -> nn.Module:
    """Returns the model of `folder`'s configuration, as `load_quantised` does, with random weights."""
    model = _random_model(folder, loading)
    paths = [path for path, module in model.named_modules() if isinstance(module, nn.Linear)]
    for path in paths:
        if ".layers." in path:
            put(model, path, _quantised(model.get_submodule(path), loading))
    # What transformers notes where it quantises: PEFT asks for it.
    model.is_loaded_in_4bit = True
    if loading.device.type == "cuda":
        torch.cuda.empty_cache()
    ready: nn.Module = model.eval()
    return ready


def random_in_pieces(folder: Path, loading: Loading) -> nn.Module:
    """The same, with other weights: a linear in 16 bits is gone before the next one is drawn."""
    torch.manual_seed(0)
    # Buffers are real: rotations are computed, not loaded.
    with init_empty_weights(include_buffers=False):
        model: Any = AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(folder), dtype=loading.dtype, attn_implementation=loading.attention
        )
    for path, module in list(model.named_modules()):
        if isinstance(module, nn.Linear) and ".layers." in path:
            put(model, path, _quantised(_drawn(module, loading), loading))
        else:
            _draw_own(module, loading)
    model.tie_weights()
    model.to(loading.device)
    model.is_loaded_in_4bit = True
    ready: nn.Module = model.eval()
    return ready


Maker = Callable[[Path, Loading], nn.Module]


@contextlib.contextmanager
def random_bases(make: Maker = random_quantised) -> Iterator[None]:
    """While it lasts, the engine's bases are not read but made."""
    reading = getattr(base, _READING)
    setattr(base, _READING, make)
    try:
        yield
    finally:
        setattr(base, _READING, reading)


def write_checkpoint(folder: Path, target: Path, loading: Loading) -> None:
    """Writes the same weights before they are quantised, and the tokenizer, for others to load."""
    _random_model(folder, loading).save_pretrained(target)
    for path in folder.glob("tokenizer*"):
        shutil.copy(path, target)


def _random_model(folder: Path, loading: Loading) -> Any:
    """The same weights every time on one kind of device."""
    torch.manual_seed(0)
    with torch.device(loading.device):
        return AutoModelForCausalLM.from_config(
            AutoConfig.from_pretrained(folder), dtype=loading.dtype, attn_implementation=loading.attention
        )


def _quantised(dense: Any, loading: Loading) -> Linear4bit:
    recipe = quantisation_config(loading.dtype)
    kind = {
        "compress_statistics": recipe.bnb_4bit_use_double_quant,
        "quant_type": recipe.bnb_4bit_quant_type,
        "quant_storage": recipe.bnb_4bit_quant_storage,
    }
    sizes = dense.in_features, dense.out_features, dense.bias is not None
    linear = Linear4bit(*sizes, compute_dtype=loading.dtype, **kind, device="meta")
    weight: Any = Params4bit(dense.weight.data, requires_grad=False, module=linear, **kind)
    linear.weight = weight.to(loading.device)
    if dense.bias is not None:
        linear.bias = dense.bias
    if loading.exact:
        linear.support_avx512bf16_for_cpu = False
    return linear


def _drawn(linear: nn.Linear, loading: Loading) -> nn.Linear:
    """Returns a linear of that shape with random weights on the device."""
    has_bias = linear.bias is not None
    drawn = nn.Linear(
        linear.in_features, linear.out_features, has_bias, device=loading.device, dtype=loading.dtype
    )
    nn.init.normal_(drawn.weight, std=_STD)
    if has_bias:
        nn.init.zeros_(drawn.bias)
    return drawn


def _draw_own(module: nn.Module, loading: Loading) -> None:
    """Gives the module the parameters that it lacks: embeddings and head at random, norms of ones."""
    for name, parameter in list(module.named_parameters(recurse=False)):
        value = torch.empty(parameter.shape, dtype=loading.dtype, device=loading.device)
        value = value.normal_(std=_STD) if value.dim() > 1 else value.fill_(1.0)
        setattr(module, name, nn.Parameter(value, requires_grad=False))
