"""Blocked weights are bitsandbytes' bit by bit, and the cache has them whole or not at all."""

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from fakes.engine.four_bit import new_linear
from fakes.engine.killed_repack import loaded
from oracle.bases import configurations, write_base
from parfocal.engine import BaseCache
from parfocal.engine.backends.cuda.four_bit import (
    Blocked,
    BlockedLinear4bit,
    BlockedLinears,
    can_block,
    fill,
    room_for,
    unblocked,
    unpack,
)
from parfocal.engine.loading.held_bytes import held_bytes


def codes_of(linear: Linear4bit) -> torch.Tensor:
    return linear.weight.data.view(-1)


def dequantised(linear: Linear4bit) -> torch.Tensor:
    weight: Any = linear.weight
    dense: torch.Tensor = dequantize_4bit(weight.data, weight.quant_state)
    return dense


def blocked(linears: list[Linear4bit]) -> Blocked:
    whole = room_for(linears)
    for index, linear in enumerate(linears):
        fill(whole, index, linear)
    return whole


@settings(max_examples=20)
@given(
    st.lists(st.sampled_from([1, 7, 63, 64, 65, 130]), min_size=1, max_size=3),
    st.sampled_from([64, 128, 192, 448]),
    st.booleans(),
)
def test_blocking_and_back_is_exact_for_every_shape(sizes: list[int], inputs: int, nested: bool) -> None:
    linears = [new_linear(outputs=size, inputs=inputs, nested=nested, bias=size > 9) for size in sizes]
    whole = blocked(linears)

    assert whole.codes.shape == (inputs // 64, sum(sizes), 32)
    assert whole.scales.shape == (inputs // 64, sum(sizes))
    for index, linear in enumerate(linears):
        own = whole.part(index)
        back = unblocked(own)
        assert torch.equal(own.dense(), dequantised(linear))
        assert torch.equal(codes_of(back), codes_of(linear))
        assert torch.equal(dequantised(back), dequantised(linear))


def test_each_of_the_256_bytes_keeps_both_its_codes_at_their_places() -> None:
    linear = new_linear(outputs=8, inputs=64)
    linear.weight.data = torch.arange(256, dtype=torch.uint8).view(-1, 1)
    whole = blocked([linear])

    codes = torch.stack([codes_of(linear) >> 4, codes_of(linear) & 15], 1).view(8, 64)
    assert torch.equal(whole.codes[0] >> 4, codes[:, :32])
    assert torch.equal(whole.codes[0] & 15, codes[:, 32:])
    assert torch.equal(codes_of(unblocked(whole)), codes_of(linear))


def test_only_weights_whose_blocks_end_with_their_rows_are_blocked() -> None:
    assert can_block(new_linear(inputs=192))
    assert not can_block(new_linear(inputs=96, nested=False))
    assert not can_block(nn.Linear(64, 64))


class Watched(Linear4bit):
    """Tells, when it is read, how many of the others are still in memory."""

    others: ClassVar[list[weakref.ref[nn.Module]]] = []
    most: ClassVar[int] = -1

    @property
    def compute_dtype(self) -> torch.dtype:
        """Read when it is its turn."""
        gc.collect()
        Watched.most = max(Watched.most, sum(other() is not None for other in self.others))
        return torch.float32

    @compute_dtype.setter
    def compute_dtype(self, dtype: torch.dtype | None) -> None:
        """Ignores the type."""


def test_never_are_both_forms_of_more_than_one_product_in_memory() -> None:
    model = nn.ModuleDict({f"l{n}": nn.ModuleDict({"up_proj": new_linear()}) for n in range(5)})
    model.get_submodule("l4.up_proj").__class__ = Watched
    Watched.others = [weakref.ref(model.get_submodule(f"l{n}.up_proj")) for n in range(4)]
    BlockedLinears().pack(model)

    assert Watched.most == 0
    assert all(isinstance(model.get_submodule(f"l{n}.up_proj"), BlockedLinear4bit) for n in range(5))


def test_siblings_share_one_memory_in_a_model_and_unpacking_gives_all_back() -> None:
    sizes = {"q_proj": 70, "k_proj": 33, "v_proj": 64, "o_proj": 64}
    linears = {name: new_linear(outputs=size) for name, size in sizes.items()}
    right = {name: dequantised(linear) for name, linear in linears.items()}
    model = nn.ModuleDict(linears)
    BlockedLinears().pack(model)

    q, _, v, o = (module for module in model.values() if isinstance(module, BlockedLinear4bit))
    assert q.whole is v.whole and q.whole is not o.whole
    weights = sum(sizes.values()) * 128
    assert held_bytes(model) == weights // 2 + weights // 64 * 4 + 2 * 16 * 4
    unpack(model)
    for name, module in model.items():
        assert isinstance(module, Linear4bit)
        assert torch.equal(dequantised(module), right[name])


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind = configurations(layers=1)["qwen2"]
    return write_base(tmp_path_factory.mktemp("base") / "base", kind)


def held(model: nn.Module) -> dict[str, bytes]:
    return {
        f"{path}.{name}": part.detach().contiguous().view(torch.uint8).numpy().tobytes()
        for path, module in model.named_modules()
        if isinstance(module, BlockedLinear4bit)
        for name, part in module.kept.items()
        if part is not None
    }


def test_a_cached_base_has_the_same_blocks_once(base: Path, tmp_path: Path) -> None:
    fresh = loaded(base, BaseCache(tmp_path))
    again = loaded(base, BaseCache(tmp_path))

    assert len(held(fresh.model)) == 7 * 3 + 3
    assert held(again.model) == held(fresh.model)
    assert again.info == fresh.info
    linears = [module for module in again.model.modules() if isinstance(module, BlockedLinear4bit)]
    assert len({linear.whole.codes.data_ptr() for linear in linears}) == 4


@pytest.mark.parametrize("where", ["packing", "writing"])
def test_a_repack_that_is_killed_leaves_no_entry_and_the_next_start_makes_one(
    base: Path, tmp_path: Path, where: str
) -> None:
    command = [sys.executable, "-m", "fakes.engine.killed_repack", str(base), str(tmp_path), where]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.kill()

    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".new-")]
    right = held(loaded(base, BaseCache(tmp_path / "other")).model)
    assert held(loaded(base, BaseCache(tmp_path)).model) == right
    assert held(loaded(base, BaseCache(tmp_path)).model) == right
