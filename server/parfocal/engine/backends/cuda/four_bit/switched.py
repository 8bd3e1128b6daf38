"""The base's 4-bit linears on CUDA: a fused product for few rows, dequantisation and a dense product for
many.

bitsandbytes switches between the two at row counts measured on other cards. Here the switch is measured on
the serving card and overrides those. Knows no adapters.
"""

import copy
import importlib
import inspect
import logging
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from bitsandbytes.functional import QuantState, dequantize_4bit
from bitsandbytes.nn.modules import Linear4bit
from torch import nn
from torch.nn import functional

from parfocal.engine.backends.cuda.fallback import Report, Trial, choose
from parfocal.engine.model import put

log = logging.getLogger(__name__)

# The arguments of bitsandbytes' `gemm_4bit`, in order.
Product = Callable[..., torch.Tensor]
_ARGUMENTS = "A B shapeB absmax blocksize quant_type bias absmax_8bit absmax_code absmax_offset"

_TIMES = 7
# The fused product is two kernels, one of them for very few rows.
_TRIAL_ROWS = (1, 32)
# bfloat16 keeps 8 bits; the two ways round at different places.
_TOLERANCE = 2.0**-6


class Shape(NamedTuple):
    """A linear's sizes."""

    outputs: int
    inputs: int


@dataclass(frozen=True, slots=True)
class SwitchPoint:
    """The number of rows from which on a weight is dequantised."""

    rows: int


class Clock(Protocol):
    """Times work on the device."""

    def seconds(self, work: Callable[[], object]) -> float:
        """How long the device takes for what `work` queues, in seconds."""


class TwoWays(Protocol):
    """A linear with two implementations."""

    def example(self, rows: int) -> torch.Tensor:
        """An input of so many rows."""

    def fused(self, x: torch.Tensor) -> torch.Tensor:
        """The output without materialising the whole weight."""

    def dequantised(self, x: torch.Tensor) -> torch.Tensor:
        """The output by way of the dequantised weight."""


class SwitchedLinear4bit(nn.Module):
    """y = W₄(x) + bias, as the `Linear4bit` whose weight and bias it takes over, in the faster of two ways.

    `product` is the fused one; None finds it.
    """

    def __init__(self, base: Linear4bit, point: SwitchPoint, product: Product | None = None) -> None:
        super().__init__()
        self.in_features, self.out_features = base.in_features, base.out_features
        weight: Any = base.weight  # bitsandbytes' Params4bit, which adds to a tensor the state of its numbers
        self._point = point
        self._dtype: torch.dtype = base.compute_dtype or weight.quant_state.dtype
        self._weight: torch.Tensor = weight.data.view(-1, 1)
        # A shallow copy that shares the tensors: its dtype is that of the dequantised weight.
        self._state: QuantState = copy.copy(weight.quant_state)
        self._state.dtype = self._dtype
        self._scales = _scales(self._state)
        self._bias = None if base.bias is None else base.bias.data.to(self._dtype)
        self._product = product or fused_product(weight.device, base.in_features, self._state)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, out]` for `x` `[…, in]`, in x's type, computed in the base's."""
        rows = x.to(self._dtype)
        is_few = x.numel() < self._point.rows * self.in_features
        y = self.fused(rows) if is_few else self.dequantised(rows)
        return y.to(x.dtype)

    def fused(self, x: torch.Tensor) -> torch.Tensor:
        """`[…, out]` for `x` `[…, in]` of the base's dtype; never holds the whole weight."""
        state, (absmax, *nested) = self._state, self._scales
        return self._product(
            x, self._weight, state.shape, absmax, state.blocksize, state.quant_type, self._bias, *nested
        )

    def dequantised(self, x: torch.Tensor) -> torch.Tensor:
        """The same by way of the dequantised weight `[out, in]`, which is freed right away."""
        return functional.linear(x, dequantize_4bit(self._weight, self._state), self._bias)

    def example(self, rows: int) -> torch.Tensor:
        """Plausible random input `[rows, in]` of the base's dtype."""
        return torch.randn(rows, self.in_features, dtype=self._dtype, device=self._weight.device)


def fused_product(
    device: torch.device, inputs: int, state: QuantState, kernels: object | None = None
) -> Product:
    """bitsandbytes' fused kernel itself, or its operation, which may dequantise after all.

    The operation stands in where there is no such kernel: on a CPU, for rows that end within a block of
    scales, and in versions of bitsandbytes that no longer have it under its private name. `kernels` is the
    module that has it; None imports it.
    """
    operation: Product = torch.ops.bitsandbytes.gemm_4bit.default
    if device.type != "cuda" or inputs % state.blocksize:
        return operation
    kernels = kernels or importlib.import_module("bitsandbytes.backends.cuda.ops")
    kernel: Product | None = getattr(kernels, "_gemm_4bit_kernel_impl", None)
    if kernel is None or " ".join(inspect.signature(kernel).parameters) != _ARGUMENTS:
        return operation
    return kernel


def measure_switch(linear: TwoWays, rows: Sequence[int], clock: Clock) -> int:
    """The lowest of the rising row counts `rows` at which and above which dequantising is faster.

    One more than the highest if it is slower even there. Searched from above, so that one odd measurement
    among the small counts changes nothing.
    """
    point = rows[-1] + 1
    for count in reversed(rows):
        x = linear.example(count)
        if _seconds(clock, partial(linear.fused, x)) <= _seconds(clock, partial(linear.dequantised, x)):
            break
        point = count
    return point


@torch.inference_mode()
def measure_switches(model: nn.Module, most_rows: int, clock: Clock) -> dict[Shape, SwitchPoint]:
    """The switch point of each shape of 4-bit linear in the model, for up to `most_rows` rows."""
    points = {}
    for shape, linear in _one_of_each(model).items():
        points[shape] = SwitchPoint(measure_switch(linear, powers(most_rows), clock))
        log.info("4-bit weights of %d x %d are dequantised from %d rows on", *shape, points[shape].rows)
    return points


def switch_linears(model: nn.Module, points: Mapping[Shape, SwitchPoint]) -> None:
    """Replaces the model's 4-bit linears, in place."""
    for path, module in tuple(model.named_modules()):
        if isinstance(module, Linear4bit):
            put(model, path, SwitchedLinear4bit(module, points[_shape(module)]))


@torch.inference_mode()
def speed_up(model: nn.Module, most_rows: int, clock: Clock, report: Report) -> dict[Shape, SwitchPoint]:
    """Gives the model the fastest 4-bit linears for steps of up to `most_rows`, in place; returns the points.

    Where the fused product fails or is wrong, all weights are dequantised.
    """
    linears = _one_of_each(model)
    tasks = [(linear, linear.example(rows)) for linear in linears.values() for rows in _TRIAL_ROWS]
    trial = Trial[Callable[[SwitchedLinear4bit, torch.Tensor], torch.Tensor]](
        lambda way: torch.cat([way(*task).flatten() for task in tasks]), _TOLERANCE
    )
    plain = SwitchedLinear4bit.dequantised
    if tasks and choose("linears", lambda: SwitchedLinear4bit.fused, plain, trial, report) is plain:
        points = dict.fromkeys(linears, SwitchPoint(0))
    else:
        points = measure_switches(model, most_rows, clock)
    switch_linears(model, points)
    return points


def has_four_bit(model: nn.Module) -> bool:
    """Whether there are linears left that `speed_up` would replace."""
    return any(isinstance(module, Linear4bit) for module in model.modules())


def _one_of_each(model: nn.Module) -> dict[Shape, SwitchedLinear4bit]:
    found = {_shape(module): module for module in model.modules() if isinstance(module, Linear4bit)}
    return {shape: SwitchedLinear4bit(module, SwitchPoint(0)) for shape, module in found.items()}


def _shape(linear: Linear4bit) -> Shape:
    return Shape(linear.out_features, linear.in_features)


def powers(most: int) -> list[int]:
    """The powers of two up to `most`, and `most`."""
    return sorted({most, *(1 << power for power in range(most.bit_length()))})


def _seconds(clock: Clock, work: Callable[[], object]) -> float:
    """The median of several measurements, after one untimed run."""
    work()
    return statistics.median(clock.seconds(work) for _ in range(_TIMES))


def _scales(state: QuantState) -> tuple[torch.Tensor | None, ...]:
    """The scales as the fused product takes them: outer, then nested with code and offset."""
    if state.state2 is None:
        return state.absmax, None, None, None
    return state.state2.absmax, state.absmax, state.state2.code, state.offset
