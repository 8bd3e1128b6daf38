"""What this machine can do at most, measured here and now: bytes moved and numbers multiplied in a second."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

_COPIES = 8
_DTYPES = ("float32", "bfloat16")
_SMALL_SQUARE = 256
_PRODUCTS = 8
# A dtype in which even a small product is this much slower than in float32 has no hardware support.
_NOT_IN_HARDWARE = 0.5


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Large enough that copies and products dwarf their overhead."""

    copy_bytes: int
    square: int


# Small enough for a CPU of two cores.
_USUAL_SIZES = _Sizes(1 << 28, 1536)
# On a GPU it takes tens of microseconds until the CPU knows that the work is done.
_GPU_SIZES = _Sizes(1 << 31, 8192)


@dataclass(frozen=True, slots=True)
class Hardware:
    """The fastest of several tries. `copy` counts bytes read plus written; `flops` is by number type."""

    copy_bytes_per_second: float
    read_bytes_per_second: float
    flops: Mapping[str, float]

    @property
    def bytes_per_second(self) -> float:
        """The most bytes that memory gives or takes in a second, copying or only reading."""
        return max(self.copy_bytes_per_second, self.read_bytes_per_second)

    @property
    def fastest_dtype(self) -> str:
        """The type of numbers that is multiplied fastest."""
        return max(self.flops, key=lambda dtype: self.flops[dtype])

    @property
    def flops_per_second(self) -> float:
        """The rate in that type; a product and its addition count as two."""
        return self.flops[self.fastest_dtype]


def measure_hardware(device: str) -> Hardware:
    """Measures the device; takes some seconds on a small CPU."""
    sizes = _GPU_SIZES if device.startswith("cuda") else _USUAL_SIZES
    return Hardware(
        _copy_bandwidth(device, sizes.copy_bytes),
        _read_bandwidth(device, sizes.copy_bytes),
        _multiply_rates(device, sizes.square),
    )


def _copy_bandwidth(device: str, size_bytes: int) -> float:
    source = torch.ones(size_bytes, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)

    def copy() -> torch.Tensor:
        return target.copy_(source)[-1]

    return 2 * size_bytes / _least_seconds(copy, _COPIES)


def _read_bandwidth(device: str, size_bytes: int) -> float:
    source = torch.ones(size_bytes // 4, device=device)
    return size_bytes / _least_seconds(source.sum, _COPIES)


def _multiply_rates(device: str, square: int) -> dict[str, float]:
    small = {dtype: _multiply_rate(device, dtype, _SMALL_SQUARE) for dtype in _DTYPES}
    fast = [dtype for dtype in _DTYPES if small[dtype] > _NOT_IN_HARDWARE * small["float32"]]
    return {dtype: _multiply_rate(device, dtype, square) for dtype in fast}


def _multiply_rate(device: str, dtype: str, size: int) -> float:
    matrix = torch.randn(size, size, device=device).to(getattr(torch, dtype))
    target = torch.empty_like(matrix)

    def multiply() -> torch.Tensor:
        return torch.mm(matrix, matrix, out=target)[0, 0]

    return 2 * size**3 / _least_seconds(multiply, _PRODUCTS)


def _least_seconds(work: Callable[[], torch.Tensor], times: int) -> float:
    """The shortest time; reading a value of the result back waits for the work on any device."""
    work().item()
    return min(_seconds(work) for _ in range(times))


def _seconds(work: Callable[[], torch.Tensor]) -> float:
    begun = time.perf_counter()
    work().item()
    return time.perf_counter() - begun
