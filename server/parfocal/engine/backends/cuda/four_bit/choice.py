"""Chooses at start what multiplies the base's 4-bit weights: the fastest here of what is right here."""

import logging
import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import nn

from parfocal.engine.backends.cuda.fallback import (
    Guarded,
    Report,
    Trial,
    choose,
    unless_memory_is_full,
)
from parfocal.engine.backends.cuda.four_bit.blocked import Blocked, unblocked
from parfocal.engine.backends.cuda.four_bit.compiled import compiled_products
from parfocal.engine.backends.cuda.four_bit.layout import unpack
from parfocal.engine.backends.cuda.four_bit.linears import (
    BY_KERNEL,
    BY_TORCH,
    BlockedLinear4bit,
    Serving,
    by_kernels,
    by_tiles,
    by_torch,
)
from parfocal.engine.backends.cuda.four_bit.product import Product, TritonProduct, dequantised, ways_for
from parfocal.engine.backends.cuda.four_bit.switched import (
    Clock,
    Shape,
    SwitchedLinear4bit,
    SwitchPoint,
    has_four_bit,
    measure_switch,
    powers,
    speed_up,
)
from parfocal.engine.model import put

log = logging.getLogger(__name__)

# One row, and one count for each tile of rows, beyond the largest too.
_TRIAL_ROWS = (1, 16, 32, 64, 65)
# What decode steps have; the sum over them decides.
_MEASURED_ROWS = (1, 8, 32, 64)
_TIMES = 5
# bfloat16 keeps 8 bits, of a level here and of a scaled weight there; float16 and float32 are held to what
# their sums are off.
_TOLERANCES = {torch.float32: 1e-4, torch.float16: 2.0**-8, torch.bfloat16: 2.0**-6}
_NO_LIMIT = 1 << 62

_Way = Callable[[torch.Tensor, Blocked], list[torch.Tensor]]


@torch.inference_mode()
def choose_products(
    model: nn.Module,
    most_rows: int,
    clock: Callable[[], Clock],
    report: Report,
    candidates: Sequence[Product] | None = None,
) -> None:
    """Gives the model the fastest 4-bit linears for steps of up to `most_rows`, in place, once.

    Candidates whose numbers differ from torch's, or that fail, are reported; where none is left, bitsandbytes
    is faster or the trial finds no memory, it gets its linears back. None as candidates: those that can be
    tried here. Linears that have been chosen earlier stay, and tell `report` from now on where they fail.
    """
    _tell_of_failures(model, report)
    wholes = _one_of_each(model)
    if not wholes and not has_four_bit(model):
        return
    timing = clock()
    if wholes:
        chosen = unless_memory_is_full(
            "products", lambda: _servings(wholes, most_rows, timing, report, candidates), report
        )
        if chosen is None:
            unpack(model)
        else:
            _serve(model, chosen)
    speed_up(model, most_rows, timing, report)


def _tell_of_failures(model: nn.Module, report: Report) -> None:
    """Lets the guards of linears that serve report to another one."""
    for module in model.modules():
        if isinstance(module, BlockedLinear4bit) and module.serving is not None:
            guard = module.serving.guard
            if isinstance(guard, Guarded):
                guard.tell(report)


def _servings(
    wholes: Mapping[Shape, Blocked],
    most_rows: int,
    clock: Clock,
    report: Report,
    candidates: Sequence[Product] | None,
) -> dict[Shape, Serving] | None:
    """How weights of each shape are multiplied; None by bitsandbytes. Changes nothing."""
    product = _chosen(list(wholes.values()), clock, report, candidates)
    if product is None:
        return None
    guard = Guarded("linears", by_kernels, by_torch, report)
    servings: dict[Shape, Serving] = {}
    for shape, whole in wholes.items():
        two = _TwoWays(whole, Serving(product, _NO_LIMIT, guard))
        point = measure_switch(two, powers(most_rows), clock)
        servings[shape] = replace(two.serving, rows=point)
        log.info("4-bit weights of %d x %d: %s below %d rows", *shape, product.name, point)
    return servings


def _chosen(
    wholes: list[Blocked], clock: Clock, report: Report, candidates: Sequence[Product] | None
) -> Product | None:
    """The fastest product that is right on all of the weights; None for bitsandbytes."""
    first = wholes[0]
    if candidates is None:
        candidates = _all_for(first.codes.device, first.dtype)
    right = [product for product in candidates if _is_right(product, wholes, report)]
    seconds = {product.name: _seconds(_way(product), wholes, clock) for product in right}
    theirs = _bitsandbytes_seconds(wholes, clock)
    log.info("4-bit products take %s, by bitsandbytes %.3g s", _told(seconds), theirs)
    best = min(right, key=lambda product: seconds[product.name], default=None)
    if best is not None and seconds[best.name] > theirs:
        log.info("bitsandbytes multiplies faster than %s on this card, so it serves", best.name)
        return None
    return best


def _all_for(device: torch.device, dtype: torch.dtype) -> list[Product]:
    """Everything of ours that can be tried here."""
    return [*map(TritonProduct, ways_for(device, dtype)), *compiled_products(device, dtype)]


def _is_right(product: Product, wholes: list[Blocked], report: Report) -> bool:
    """Whether the product and our dequantisation give torch's numbers, for every tile of rows."""
    tasks = [(_example(whole, rows), whole) for whole in wholes for rows in _TRIAL_ROWS]

    def run(way: _Way) -> torch.Tensor:
        found = []
        for x, whole in tasks:
            y = torch.cat(way(x, whole), 1).float()
            found.append((y / _length(whole)).flatten())
        return torch.cat(found)

    def fast() -> _Way:
        for whole in wholes:
            _check_dequantised(whole)
        return _way(product)

    plain: _Way = _by_torch
    tolerance = _TOLERANCES[wholes[0].dtype]
    return choose(f"products_{product.name}", fast, plain, Trial(run, tolerance), report) is not plain


def _check_dequantised(whole: Blocked) -> None:
    """Raises RuntimeError unless our kernel dequantises as torch does."""
    for first in (0, whole.outputs - 1):
        own = whole.between(first, first + 1)
        if not torch.allclose(dequantised(own), own.dense(), rtol=_TOLERANCES[whole.dtype]):
            raise RuntimeError("dequantised weights differ from torch's")


def _serve(model: nn.Module, servings: Mapping[Shape, Serving]) -> None:
    """Gives all blocked linears that have none their way of being multiplied."""
    for path, module in tuple(model.named_modules()):
        if isinstance(module, BlockedLinear4bit) and module.serving is None:
            put(model, path, module.served_by(servings[_shape(module.whole)]))


@dataclass(frozen=True, slots=True)
class _TwoWays:
    """Joined weights, multiplied as they are or dequantised."""

    whole: Blocked
    serving: Serving

    def example(self, rows: int) -> torch.Tensor:
        """Plausible random input."""
        return _example(self.whole, rows)

    def fused(self, x: torch.Tensor) -> torch.Tensor:
        """The first linear's output; all are computed."""
        return by_kernels(self.serving, x, self.whole)[0]

    def dequantised(self, x: torch.Tensor) -> torch.Tensor:
        """The same by way of dequantised tiles."""
        return by_tiles(x, self.whole, BY_KERNEL)[0]


def _one_of_each(model: nn.Module) -> Mapping[Shape, Blocked]:
    """Joined weights of each shape for which nothing is chosen yet."""
    return {
        _shape(module.whole): module.whole
        for module in model.modules()
        if isinstance(module, BlockedLinear4bit) and module.serving is None
    }


def _shape(whole: Blocked) -> Shape:
    return Shape(whole.outputs, whole.inputs)


def _way(product: Product) -> _Way:
    return lambda x, whole: product(x, whole).summed(whole.dtype)


def _by_torch(x: torch.Tensor, whole: Blocked) -> list[torch.Tensor]:
    return by_tiles(x, whole, BY_TORCH)


def _parts(whole: Blocked) -> Iterator[Blocked]:
    return (whole.part(index) for index in range(len(whole.sizes)))


def _example(whole: Blocked, rows: int) -> torch.Tensor:
    draw = torch.Generator().manual_seed(rows)
    return torch.randn(rows, whole.inputs, generator=draw).to(whole.codes.device, whole.dtype)


def _length(whole: Blocked) -> float:
    """What makes answers of different weights comparable: about the length of their outputs."""
    return max(1e-30, float(whole.scales.abs().mean()) * math.sqrt(whole.inputs))


def _seconds(way: _Way, wholes: list[Blocked], clock: Clock) -> float:
    """The sum over weights and counts of rows of each one's median."""
    return sum(
        _median(partial(way, _example(whole, rows), whole), clock)
        for whole in wholes
        for rows in _MEASURED_ROWS
    )


def _bitsandbytes_seconds(wholes: list[Blocked], clock: Clock) -> float:
    """The same by bitsandbytes, one linear at a time, in the faster of its two ways."""
    return sum(_linear_seconds(own, clock) for whole in wholes for own in _parts(whole))


def _linear_seconds(own: Blocked, clock: Clock) -> float:
    linear = SwitchedLinear4bit(unblocked(own), SwitchPoint(0))
    total = 0.0
    for rows in _MEASURED_ROWS:
        x = linear.example(rows)
        total += min(_median(partial(way, x), clock) for way in (linear.fused, linear.dequantised))
    return total


def _median(work: Callable[[], object], clock: Clock) -> float:
    work()
    return statistics.median(clock.seconds(work) for _ in range(_TIMES))


def _told(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"by {name} {found:.3g} s" for name, found in seconds.items()) or "by no kernel of ours"
