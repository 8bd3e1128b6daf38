"""Measures 4-bit products: by our kernels, by bitsandbytes, and of the same weight in 16 bits by cuBLAS.

Ours are Triton's in every way of theirs, and those in CUDA C++.
"""

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import torch
from torch.nn import functional

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting
from parfocal.bench.workloads.shapes import Shape, shape_named
from parfocal.engine.backends.cuda.clock import CudaClock
from parfocal.engine.backends.cuda.four_bit import (
    Blocked,
    Clock,
    Product,
    SwitchedLinear4bit,
    SwitchPoint,
    Tiles,
    TritonProduct,
    Way,
    compiled_products,
    nf4_levels,
    tiles_of,
    unblocked,
    ways_for,
)

_TIMES = 9
_BITSANDBYTES, _DENSE, _COMPILED = "bitsandbytes", "dense", "compiled"
# The tiles that are tried beside the usual ones: outputs, stages, warps.
_OTHER_TILES = [(64, 4, 4), (64, 5, 4), (128, 3, 4), (128, 5, 4), (128, 4, 8)]
# Into how many programs the compiled products are cut.
_PROGRAMS = [128, 192, 256, 384, 512]
# What the two ways of rounding a level to 16 bits are apart.
_TOLERANCE = 2.0**-6

Found = dict[str, float | str]


class HostClock:
    """A clock for a dry run, where work is done when it returns."""

    def seconds(self, work: Callable[[], object]) -> float:
        """How long `work` takes, in seconds."""
        begun = time.perf_counter()
        work()
        return time.perf_counter() - begun


@torch.inference_mode()
def measure_all(setting: Setting, notes: Notes) -> None:
    """Measures every product of the stand's shape, then other tiles; keeps each as it is found."""
    device = torch.device(setting.scale.device)
    clock: Clock = HostClock() if setting.is_dry else CudaClock(device)
    counts = (1, 4) if setting.is_dry else (1, 8, 16, 32, 64)
    rate = setting.hardware()[0].read_bytes_per_second
    ours, faults = _products(random_blocked((256,), 512, device))
    notes.put(faults=faults)
    found: list[Found] = []
    for name, sizes, inputs in products_of(shape_named(setting.scale.shape)):
        notes.begin(f"Product {name}: {sum(sizes)} x {inputs}")
        whole = random_blocked(sizes, inputs, device)
        least = 1e6 * (whole.codes.nbytes + whole.scales.nbytes) / rate
        for rows in counts:
            times = _microseconds(ours, whole, rows, clock)
            found.append({"product": name, "rows": rows, "bytes": least, **times})
            notes.put(microseconds=found)
    names = [product.name for product in ours]
    notes.sum_up(microseconds=found, faults=faults, **_ratios(found, names))
    if not setting.is_dry:
        notes.begin("Other tiles")
        programs = _PROGRAMS if _COMPILED in names else []
        notes.put(tiles=list(_tile_times(shape_named(setting.scale.shape), device, clock, programs)))


def products_of(shape: Shape) -> Iterator[tuple[str, tuple[int, ...], int]]:
    """Yields the products of a layer: name, outputs of each linear, inputs."""
    kv = shape.kv_heads * shape.head_dim
    yield "qkv", (shape.hidden, kv, kv), shape.hidden
    yield "o", (shape.hidden,), shape.hidden
    yield "gate_up", (shape.intermediate, shape.intermediate), shape.hidden
    yield "down", (shape.hidden,), shape.intermediate


def random_blocked(sizes: tuple[int, ...], inputs: int, device: torch.device) -> Blocked:
    """Returns random weights, in bfloat16 on a card."""
    blocks, outputs = inputs // 64, sum(sizes)
    codes = torch.randint(256, (blocks, outputs, 32), dtype=torch.uint8, device=device)
    scales = torch.rand(blocks, outputs, device=device) / 32
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    return Blocked(codes, scales, nf4_levels().to(device), None, sizes, dtype)


def _products(small: Blocked) -> tuple[list[Product], dict[str, str]]:
    """Returns our products that are right on a small weight here, and what is wrong with the others."""
    device, dtype = small.codes.device, small.dtype
    x = torch.randn(33, small.inputs, device=device, dtype=dtype)
    right = functional.linear(x.float(), small.dense().float())
    ours: list[Product] = []
    faults = dict[str, str]()
    triton: list[Product] = [TritonProduct(way) for way in ways_for(device, dtype)]
    for product in [*triton, *compiled_products(device, dtype)]:
        try:
            off = product(x, small).parts.sum(0) - right
        except (RuntimeError, OSError) as error:
            faults[product.name] = f"{type(error).__name__}: {error}"
            continue
        if float(off.abs().max()) <= _TOLERANCE * float(right.abs().max()):
            ours.append(product)
        else:
            faults[product.name] = f"off by {float(off.abs().max()):.3g}"
    return ours, faults


def _microseconds(ours: Sequence[Product], whole: Blocked, rows: int, clock: Clock) -> Found:
    """Returns what each takes; ours with the sum of the parts, and without, as fused ones leave it."""
    x = torch.randn(rows, whole.inputs, device=whole.codes.device, dtype=whole.dtype)
    found: Found = {}
    for product in ours:
        found[product.name] = _median(partial(_summed, product, x, whole), clock)
        found[f"{product.name}_unsummed"] = _median(partial(product, x, whole), clock)
    found[_BITSANDBYTES] = sum(
        _bitsandbytes(whole.part(index), x, clock) for index in range(len(whole.sizes))
    )
    found[_DENSE] = _median(partial(functional.linear, x, whole.dense()), clock)
    return found


def _summed(product: Product, x: torch.Tensor, whole: Blocked) -> list[torch.Tensor]:
    return product(x, whole).summed(whole.dtype)


def _bitsandbytes(own: Blocked, x: torch.Tensor, clock: Clock) -> float:
    linear = SwitchedLinear4bit(unblocked(own), SwitchPoint(0))
    return min(_median(partial(way, x), clock) for way in (linear.fused, linear.dequantised))


def _ratios(found: list[Found], ours: Sequence[str]) -> Mapping[str, float]:
    """Returns the least factors of our best over others: over bitsandbytes from 8 rows on, else everywhere.

    Where compiled products are among ours, also theirs over Triton's best, where both leave their parts.
    """
    many = [one for one in found if _number(one, "rows") >= 8]  # a dry run has none
    over = {"bitsandbytes_from_8_rows": (_BITSANDBYTES, many), "dense": (_DENSE, found)}
    least = {
        f"least_over_{name}": min(_number(one, other) / _best(one, ours) for one in among)
        for name, (other, among) in over.items()
        if among and ours
    }
    triton = [f"{name}_unsummed" for name in ours if name != _COMPILED]
    if _COMPILED in ours and triton:
        least["compiled_least_over_triton"] = min(
            _best(one, triton) / _number(one, f"{_COMPILED}_unsummed") for one in found
        )
    return least


def _best(one: Found, names: Sequence[str]) -> float:
    return min(_number(one, name) for name in names)


def _number(one: Found, name: str) -> float:
    return float(one[name])


def _tile_times(shape: Shape, device: torch.device, clock: Clock, programs: Sequence[int]) -> Iterator[Found]:
    """Yields what other tiles and numbers of programs take, at 16 and at 64 rows."""
    for name, sizes, inputs in products_of(shape):
        whole = random_blocked(sizes, inputs, device)
        usual = tiles_of(whole)
        tried = [usual, *(Tiles(n, usual.blocks, stages, warps) for n, stages, warps in _OTHER_TILES)]
        for rows in (16, 64):
            x = torch.randn(rows, inputs, device=device, dtype=whole.dtype)
            for tiles in tried:
                taken = _median(partial(TritonProduct(Way.PRMT, tiles), x, whole), clock)
                yield {"product": name, "rows": rows, "tiles": str(tiles), "microseconds": taken}
            for count in programs:
                for product in compiled_products(device, whole.dtype, count):
                    taken = _median(partial(product, x, whole), clock)
                    yield {"product": name, "rows": rows, "programs": count, "microseconds": taken}


def _median(work: Callable[[], object], clock: Clock) -> float:
    """The median in microseconds, after one untimed run; of a dry run, once: the interpreter is slow."""
    if isinstance(clock, HostClock):
        return 1e6 * clock.seconds(work)
    work()
    taken = [clock.seconds(work) for _ in range(_TIMES)]
    return 1e6 * statistics.median(taken)
