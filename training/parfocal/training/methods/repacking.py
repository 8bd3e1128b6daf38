"""Keeps bitsandbytes from repacking the 4-bit weights of a base that is still being trained on.

On CPUs with AVX512-BF16, `Linear4bit.forward` (bitsandbytes 0.50, nn/modules.py) rewrites its weight in
place the first time it runs in eval mode on an input that needs no gradient. The packed kernel has no
backward, so from then on gradients stop at every such layer, with one autograd warning and a loss that
goes on falling through the residual stream; unpacking again (also a side effect of `state_dict`)
requantises the scales and is not exact.
"""

from collections.abc import Iterator

import torch
from bitsandbytes.nn.modules import Linear4bit, Params4bit
from torch import nn

from parfocal.training.errors import GradientsLost

_SWITCH = "support_avx512bf16_for_cpu"


def forbid_repacking(model: nn.Module) -> None:
    """Makes every 4-bit linear compute as in training, whatever its mode, and verifies that on one of them.

    The switch is an attribute that bitsandbytes sets once per layer from the CPU's features. Evaluating
    is then bit for bit what training computes, with dropout off.

    Raises: GradientsLost: a layer is packed already, or this release of bitsandbytes packs in spite of
    the switch.
    """
    for _, layer in _quantised(model):
        setattr(layer, _SWITCH, False)
    _evaluate_one(model)
    check_unpacked(model)
    check_gradients_pass(model)


def check_unpacked(model: nn.Module) -> None:
    """Raises GradientsLost when a 4-bit weight is in the packed form, which has no backward."""
    packed = [name for name, layer in _quantised(model) if _is_packed(layer)]
    if packed:
        raise GradientsLost(
            f"{len(packed)} layers of the base were repacked for inference, first {packed[0]}; gradients "
            "would stop there silently; something ran the base in eval mode outside the evaluation",
            layer=packed[0],
        )


def check_gradients_pass(model: nn.Module) -> None:
    """Sends a gradient back through the first and the last 4-bit layer; raises GradientsLost."""
    layers = list(_quantised(model))
    for name, layer in layers[:1] + layers[-1:]:
        probe = torch.ones(1, layer.in_features, device=layer.weight.device, requires_grad=True)
        with torch.enable_grad():
            output = layer(probe)
            passed = output.requires_grad and torch.autograd.grad(output.sum(), probe, allow_unused=True)[0]
        if not isinstance(passed, torch.Tensor):
            raise GradientsLost(
                f"no gradient passes {name} of the base; layers below would not learn", layer=name
            )


def _quantised(model: nn.Module) -> Iterator[tuple[str, Linear4bit]]:
    return ((name, module) for name, module in model.named_modules() if isinstance(module, Linear4bit))


def _is_packed(layer: Linear4bit) -> bool:
    weight = layer.weight
    return isinstance(weight, Params4bit) and bool(
        getattr(weight.quant_state, "packing_format_for_cpu", False)
    )


def _evaluate_one(model: nn.Module) -> None:
    for _, layer in _quantised(model):
        mode = layer.training
        layer.eval()
        with torch.no_grad():
            layer(torch.ones(1, layer.in_features, device=layer.weight.device))
        layer.train(mode)
        return
