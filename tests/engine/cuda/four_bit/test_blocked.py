"""Blocked weights are bitsandbytes' bit by bit, and the cache has them whole or not at all."""

import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from bitsandbytes.functional import dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from fakes.engine.four_bit import new_linear
from fakes.engine.killed_repack import loaded
from oracle.bases import configurations, write_base
from parfocal.engine import BaseCache
from parfocal.engine.backends.cuda.four_bit import (
    Blocked,
    BlockedLinear4bit,
    BlockedLinears,
    block,
    can_block,
    side_by_side,
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
    return side_by_side([block(linear) for linear in linears], torch.device("cpu"))


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


class Rooms(TorchDispatchMode):
    """How many of the old weights are in memory whenever room for `bytes_` of codes is made."""

    def __init__(self, model: nn.Module, sizes: set[int]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.alive: list[int] = []
        self._sizes = sizes
        self._old = [weakref.ref(part) for part in model.parameters()]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        found = func(*args, **(kwargs or {}))
        is_room = func is torch.ops.aten.empty.memory_format and found.dtype is torch.uint8
        if is_room and found.nbytes in self._sizes:
            self.alive.append(sum(old() is not None for old in self._old))
        return found


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Python frees only what nothing refers to any more: no cycles."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_never_are_both_forms_of_more_than_one_linear_in_memory() -> None:
    layers = ({name: new_linear() for name in ("q_proj", "k_proj", "v_proj", "o_proj")} for _ in range(2))
    model = nn.ModuleList(nn.ModuleDict(layer) for layer in layers)
    one = 48 * 128 // 2
    with Rooms(model, {one, 3 * one}) as rooms:
        BlockedLinears().pack(model)

    # In each layer q, k and v one by one, then what joins them beside none of them, then o.
    assert rooms.alive == [8, 7, 6, 5, 5, 4, 3, 2, 1, 1]
    assert all(isinstance(module, BlockedLinear4bit) for layer in model for module in layer.children())


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


Held = dict[str, bytes]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    kind = configurations(layers=1)["qwen2"]
    return write_base(tmp_path_factory.mktemp("base") / "base", kind)


def held(model: nn.Module) -> Held:
    return {
        f"{path}.{name}": part.detach().contiguous().view(torch.uint8).numpy().tobytes()
        for path, module in model.named_modules()
        if isinstance(module, BlockedLinear4bit)
        for name, part in module.kept.items()
        if part is not None
    }


@pytest.fixture(scope="module")
def right(base: Path) -> Held:
    """Returns the blocks of the base, made without a cache."""
    return held(loaded(base, None).model)


def test_a_cached_base_has_the_same_blocks_once(base: Path, right: Held, tmp_path: Path) -> None:
    fresh = loaded(base, BaseCache(tmp_path))
    again = loaded(base, BaseCache(tmp_path))

    assert len(right) == 7 * 3 + 3
    assert held(again.model) == held(fresh.model) == right
    assert again.info == fresh.info
    linears = [module for module in again.model.modules() if isinstance(module, BlockedLinear4bit)]
    assert len({linear.whole.codes.data_ptr() for linear in linears}) == 4


@pytest.mark.parametrize("where", ["packing", "writing"])
def test_a_repack_that_is_killed_leaves_no_entry_and_the_next_start_makes_one(
    base: Path, right: Held, tmp_path: Path, where: str
) -> None:
    command = [sys.executable, "-m", "fakes.engine.killed_repack", str(base), str(tmp_path), where]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        process.kill()

    assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".new-")]
    assert held(loaded(base, BaseCache(tmp_path)).model) == right
    assert held(loaded(base, BaseCache(tmp_path)).model) == right
