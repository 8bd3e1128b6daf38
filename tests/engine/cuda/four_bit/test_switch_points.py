"""The faster way of computing a shape is found in spite of noise, and every 4-bit linear then takes it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from bitsandbytes.nn.modules import Linear4bit
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from fakes.engine.four_bit import INPUTS, OUTPUTS, new_linear
from parfocal.engine.backends.cuda.clock import CudaClock
from parfocal.engine.backends.cuda.four_bit import (
    Shape,
    SwitchedLinear4bit,
    SwitchPoint,
    measure_switch,
    measure_switches,
    speed_up,
    switch_linears,
)
from parfocal.engine.config import EngineConfig
from parfocal.engine.loading import Loading, load_base, load_quantised
from parfocal.engine.loading.held_bytes import held_bytes


class TwoCosts:
    """A linear whose answers are what they cost, in seconds: 1 a row, or 10 and little more."""

    def example(self, rows: int) -> torch.Tensor:
        return torch.zeros(rows, 1)

    def fused(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor(float(len(x)))

    def dequantised(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor(10 + len(x) / 100)


class CostClock:
    """Reads the cost off the answer, as `noise` changes it: it is given the cost and how many came before."""

    def __init__(self, noise: Callable[[float, int], float] = lambda cost, _: cost) -> None:
        self.calls = 0
        self._noise = noise

    def seconds(self, work: Callable[[], object]) -> float:
        cost = work()
        assert isinstance(cost, torch.Tensor)
        self.calls += 1
        return self._noise(float(cost.flatten()[0]), self.calls)


POWERS = [1, 2, 4, 8, 16, 32, 64]


def test_the_switch_is_the_first_count_at_which_dequantising_is_faster() -> None:
    assert measure_switch(TwoCosts(), POWERS, CostClock()) == 16
    assert measure_switch(TwoCosts(), [16, 32], CostClock()) == 16


def test_where_the_fused_way_is_always_faster_the_switch_lies_above_all_counts() -> None:
    assert measure_switch(TwoCosts(), [1, 2, 4, 8], CostClock()) == 9


@given(st.sampled_from([0, 1]), st.sets(st.integers(0, 6), max_size=3), st.floats(0.0, 100.0))
def test_single_measurements_of_one_way_that_are_far_off_move_nothing(
    way: int, off: set[int], factor: float
) -> None:
    def sometimes_off(cost: float, call: int) -> float:
        is_off = (call - 1) // 7 % 2 == way and (call - 1) % 7 in off
        return cost * factor if is_off else cost

    assert measure_switch(TwoCosts(), POWERS, CostClock(sometimes_off)) == 16


class Dip(TwoCosts):
    """Dequantising seems fast at 2 rows and slow at 32."""

    def dequantised(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tensor({2: 1.0, 32: 99.0}.get(len(x), 10.0))


def test_dequantising_must_be_faster_at_every_higher_count_too() -> None:
    assert measure_switch(Dip(), POWERS, CostClock()) == 64
    assert measure_switch(Dip(), POWERS[:5], CostClock()) == 16


def _model() -> nn.Module:
    blocks = (nn.ModuleDict({"up": new_linear(), "down": new_linear(outputs=INPUTS)}) for _ in range(3))
    return nn.ModuleList([*blocks, nn.Linear(4, 4)])


def test_each_shape_is_measured_once() -> None:
    always_alike = CostClock(lambda cost, call: 1.0)
    points = measure_switches(_model(), 12, always_alike)

    assert points == {Shape(OUTPUTS, INPUTS): SwitchPoint(13), Shape(INPUTS, INPUTS): SwitchPoint(13)}
    assert always_alike.calls == 2 * 2 * 7, "the highest count settles it"


def test_switching_replaces_all_four_bit_linears_and_takes_no_memory() -> None:
    model = _model()
    before = held_bytes(model)
    switch_linears(model, {Shape(OUTPUTS, INPUTS): SwitchPoint(3), Shape(INPUTS, INPUTS): SwitchPoint(9)})

    assert not any(isinstance(module, Linear4bit) for module in model.modules())
    assert sum(isinstance(module, SwitchedLinear4bit) for module in model.modules()) == 6
    assert sum(isinstance(module, nn.Linear) for module in model.modules()) == 1
    assert held_bytes(model) == before


def test_a_base_with_its_adapted_linears_switched_gives_the_same_logits(llama_base: Path) -> None:
    plain = load_quantised(llama_base, Loading(torch.float32, torch.device("cpu"), "eager", exact=True))
    base = load_base(llama_base, EngineConfig(device="cpu", dtype="float32", kernels="torch", unpack_bytes=0))
    given_up: list[tuple[str, str]] = []
    clock = CostClock(lambda cost, call: call % 2)
    points = speed_up(base.model, 4, clock, lambda kernel, reason: given_up.append((kernel, reason)))

    assert (given_up, {(s.inputs, s.outputs) for s in points}) == ([], set(base.shapes.values()))
    for path, (wide, _) in base.shapes.items():
        x = torch.randn(1, 3, wide)
        with torch.inference_mode():
            torch.testing.assert_close(base.model.get_submodule(path)(x), plain.get_submodule(path)(x))


def test_a_model_without_four_bit_linears_is_left_alone() -> None:
    assert speed_up(nn.Linear(3, 3), 4, CostClock(), lambda kernel, reason: None) == {}


@pytest.mark.gpu
@torch.inference_mode()
def test_the_devices_clock_finds_a_switch_and_both_ways_agree_there() -> None:
    device = torch.device("cuda")
    base = Linear4bit(1024, 1024, bias=True, compute_dtype=torch.bfloat16, quant_type="nf4").to(device)
    linear = SwitchedLinear4bit(base, SwitchPoint(0))
    point = measure_switch(linear, POWERS, CudaClock(device))

    assert 1 <= point <= 65
    for rows in (1, 8, 64, 700):
        x = linear.example(rows)
        torch.testing.assert_close(linear.fused(x), linear.dequantised(x), rtol=2**-5, atol=2**-5)
        torch.testing.assert_close(base(x), linear(x), rtol=2**-5, atol=2**-5)
