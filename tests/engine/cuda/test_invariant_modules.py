"""Invariant linears and norms: torch's numbers, and the same bits for a row wherever it stands."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from fakes.engine.four_bit import new_linear
from parfocal.engine.backends.cuda.invariant import InvariantLinear, InvariantLinear4bit, InvariantNorm
from parfocal.engine.backends.cuda.invariant.replacing import invariant_version, is_invariant, make_invariant
from parfocal.engine.model import put

# Triton's interpreter cuts bfloat16 off, where a device rounds.
TOLERANCES = {torch.float32: 1e-5, torch.float16: 2e-3, torch.bfloat16: 2e-2}
SIZE = 200


def dense(dtype: torch.dtype, *, bias: bool = True) -> nn.Linear:
    torch.manual_seed(2)
    return nn.Linear(SIZE, 70, bias=bias).to(dtype)


def norm(dtype: torch.dtype, *, gemma: bool = False) -> nn.Module:
    torch.manual_seed(3)
    module = Gemma2RMSNorm(SIZE) if gemma else LlamaRMSNorm(SIZE)
    module.weight.data.normal_()
    return module.to(dtype)


def check(module: nn.Module, inputs: int, dtype: torch.dtype, device: torch.device) -> None:
    """Compares a module with its invariant version."""
    module = module.to(device)
    ours, tolerance = invariant_version(module), TOLERANCES[dtype]
    assert type(ours) is not type(module)
    for shape in ((1, inputs), (1, 7, inputs), (2, 40, inputs), (inputs,)):
        x = torch.randn(shape, generator=torch.Generator().manual_seed(4)).to(device, dtype)
        found, right = ours(x), module(x)
        assert found.dtype is dtype
        torch.testing.assert_close(found, right, rtol=tolerance, atol=tolerance * float(right.abs().max()))


@torch.inference_mode()
@pytest.mark.parametrize("inputs", [128, 192])
@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_4_bit_linears_give_what_bitsandbytes_gives(
    device: torch.device, dtype: torch.dtype, nested: bool, inputs: int
) -> None:
    check(new_linear(dtype, bias=nested, nested=nested, inputs=inputs), inputs, dtype, device)


@torch.inference_mode()
def test_blocks_of_scales_may_reach_over_the_ends_of_rows(device: torch.device) -> None:
    linear = new_linear(nested=False, inputs=96)
    weight: Any = linear.weight
    state, pairs = weight.quant_state, weight.data.view(-1)
    codes = torch.stack([pairs >> 4, pairs & 15], 1).view(-1).long()
    # Not by bitsandbytes: on CPUs it lets every row begin a block.
    right = (state.code[codes] * state.absmax.repeat_interleave(state.blocksize)).view(-1, 96)

    found = InvariantLinear4bit(linear.to(device))(torch.eye(96, device=device)).T

    torch.testing.assert_close(found.cpu(), right)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("bias", [True, False])
def test_dense_linears_give_what_torch_gives(device: torch.device, dtype: torch.dtype, bias: bool) -> None:
    check(dense(dtype, bias=bias), SIZE, dtype, device)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("gemma", [True, False])
def test_norms_give_what_transformers_norms_give(
    device: torch.device, dtype: torch.dtype, gemma: bool
) -> None:
    check(norm(dtype, gemma=gemma), SIZE, dtype, device)


@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    ("make", "inputs"),
    [(lambda dtype: new_linear(dtype, bias=True, outputs=70), 128), (dense, SIZE), (norm, SIZE)],
    ids=["4-bit", "dense", "norm"],
)
def test_a_row_gets_the_same_bits_at_any_place_in_any_batch(
    device: torch.device, make: Callable[[torch.dtype], nn.Module], inputs: int, dtype: torch.dtype
) -> None:
    module = invariant_version(make(dtype).to(device))
    rows = torch.randn(70, inputs, generator=torch.Generator().manual_seed(5)).to(device, dtype)
    together = module(rows)

    for place in (0, 1, 7, 15, 16, 31, 63, 64, 69):
        assert torch.equal(module(rows[place][None])[0], together[place])
    for count in (2, 15, 16, 17, 64, 65):
        assert torch.equal(module(rows[:count]), together[:count])
    assert torch.equal(module(rows.flip(0)).flip(0), together)


class Reports:
    """Keeps the names of the kernels that are given up."""

    def __init__(self) -> None:
        self.kernels: list[str] = []

    def __call__(self, kernel: str, reason: str) -> None:
        self.kernels.append(kernel)


def small_model(device: torch.device) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=40,
        hidden_size=128,
        intermediate_size=48,
        num_attention_heads=2,
        num_hidden_layers=1,
    )
    model: LlamaForCausalLM = LlamaForCausalLM(config).eval()
    put(model, "model.layers.0.mlp.gate_proj", new_linear())
    nn.Module.to(model, device)
    return model


def test_a_model_is_made_invariant_as_a_whole_and_once(device: torch.device) -> None:
    model, reports = small_model(device), Reports()
    ids = torch.arange(9, device=device)[None]
    with torch.inference_mode():
        right = model(ids).logits

    assert make_invariant(model, reports) and make_invariant(model, reports)

    assert reports.kernels == []
    assert not any(isinstance(m, nn.Linear | Linear4bit | LlamaRMSNorm) for m in model.modules())
    kinds = {InvariantLinear, InvariantLinear4bit, InvariantNorm}
    assert kinds <= {type(module) for module in model.modules()}
    with torch.inference_mode():
        torch.testing.assert_close(model(ids).logits, right, rtol=1e-4, atol=1e-4)


def test_a_model_on_which_the_kernels_are_wrong_is_left_as_it_is(device: torch.device) -> None:
    model, reports = small_model(device), Reports()
    model.lm_head.weight.data[3] = torch.nan

    assert not make_invariant(model, reports)

    assert reports.kernels == ["deterministic"]
    assert not is_invariant(model)
    assert type(model.lm_head) is nn.Linear
