"""What the memory allows: the bytes that a decode step must read, over the bandwidth measured here and now.

It bounds decode only, with a full batch: a prompt's arithmetic comes on top, and on most CPUs so does a large
batch's.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .shapes import Shape
from .workload import Workload

# NF4 with double quantisation: 4 bits a weight, a byte per 64, 4 bytes per 256 of those (arXiv 2305.14314).
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
_DTYPE_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
_COPY_BYTES = 1 << 28
_COPIES = 8


@dataclass(frozen=True, slots=True)
class StepBytes:
    """The bytes that one decode step must read, part by part; the KV cache as it is half-way."""

    base: int
    head: int
    adapters: int
    kv_cache: int

    @property
    def total(self) -> int:
        """Returns all of them."""
        return self.base + self.head + self.adapters + self.kv_cache


def step_bytes(workload: Workload, dtype: str, ranks: Sequence[int]) -> StepBytes:
    """Returns what a step with one token for each request of a batch, and adapters of these ranks, reads."""
    shape, size = workload.sizes(), _DTYPE_BYTES[dtype]
    context = (workload.shortest + workload.prompt_tokens) / 2 + workload.new_tokens / 2
    return StepBytes(
        base=_base_bytes(shape),
        head=shape.head_parameters * size,
        adapters=sum(shape.adapter_parameters(rank) for rank in ranks) * size,
        kv_cache=int(workload.batch * context * shape.kv_values() * size),
    )


def decode_limit(workload: Workload, bytes_read: StepBytes, bytes_per_second: float) -> float:
    """Returns the tokens per second at which reading alone would take all the time."""
    return workload.batch * bytes_per_second / bytes_read.total


def copy_bandwidth(device: str) -> float:
    """Returns the bytes per second, read plus written, of the fastest of several copies on the device."""
    source = torch.ones(_COPY_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    best = min(_copy_seconds(source, target) for _ in range(_COPIES))
    return 2 * _COPY_BYTES / best


def _base_bytes(shape: Shape) -> int:
    return int(sum(linear.parameters for linear in shape.linears) * NF4_BYTES)


def _copy_seconds(source: torch.Tensor, target: torch.Tensor) -> float:
    begun = time.perf_counter()
    target.copy_(source)
    # Reading one value back waits for the copy on any device.
    target[-1].item()
    return time.perf_counter() - begun
