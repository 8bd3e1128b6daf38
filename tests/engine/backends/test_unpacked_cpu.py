"""Weights that were dequantised once give bitsandbytes' own numbers, within their budget of memory."""

from pathlib import Path

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from parfocal.engine.backends.torch.unpacked_cpu import TiedHead, UnpackedLinear, unpack, unpacked_bytes
from parfocal.engine.config import EngineConfig
from parfocal.engine.loading import Loading, load_base, load_quantised


def _loaded(base: Path, dtype: torch.dtype = torch.float32) -> nn.Module:
    return load_quantised(base, Loading(dtype, torch.device("cpu"), "eager", exact=True))


def _packed(model: nn.Module) -> list[str]:
    return [path for path, module in model.named_modules() if isinstance(module, Linear4bit)]


@torch.inference_mode()
def test_unpacked_linears_compute_what_bitsandbytes_computes(llama_base: Path) -> None:
    plain, fast = _loaded(llama_base), _loaded(llama_base)
    unpack(fast)
    paths = _packed(plain)
    assert paths
    for path in paths:
        module, right = fast.get_submodule(path), plain.get_submodule(path)
        assert isinstance(module, UnpackedLinear)
        for rows in (1, 2, 16, 49, 200):
            x = torch.randn(1, rows, module.in_features)
            torch.testing.assert_close(module(x), right(x), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize("bias", [False, True])
@given(rows=st.integers(1, 60))
def test_the_head_computes_what_a_linear_computes(bias: bool, rows: int) -> None:
    head = nn.Linear(24, 130, bias=bias)
    x = torch.randn(1, rows, 24)
    torch.testing.assert_close(TiedHead(head)(x), head(x), rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_bias_is_added() -> None:
    linear = nn.Linear(24, 40)
    x = torch.randn(1, 5, 24)
    unpacked = UnpackedLinear(linear.weight.data, linear.bias.data)
    torch.testing.assert_close(unpacked(x), linear(x), rtol=1e-5, atol=1e-5)


def test_the_size_is_that_of_all_packed_linears_in_float32(llama_base: Path) -> None:
    model = _loaded(llama_base)
    linears = [module for module in model.modules() if isinstance(module, Linear4bit)]
    assert unpacked_bytes(model) == sum(4 * m.in_features * m.out_features for m in linears)


def test_what_computes_in_bfloat16_is_not_unpacked(llama_base: Path) -> None:
    assert unpacked_bytes(_loaded(llama_base, torch.bfloat16)) == 0


def test_a_base_is_unpacked_only_where_its_budget_allows_it(llama_base: Path) -> None:
    needed = unpacked_bytes(_loaded(llama_base))

    def loaded(budget: int | None) -> tuple[bool, int]:
        config = EngineConfig(device="cpu", dtype="float32", unpack_bytes=budget, kernels="torch")
        base = load_base(llama_base, config)
        return not _packed(base.model), base.info.memory_bytes

    tight, packed_bytes = loaded(needed - 1)
    assert not tight
    for budget in (needed, None):
        unpacked, unpacked_memory = loaded(budget)
        assert unpacked
        assert needed < unpacked_memory <= packed_bytes + needed
    assert loaded(0) == (False, packed_bytes)
