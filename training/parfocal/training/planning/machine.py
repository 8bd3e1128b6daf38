"""What this machine takes for a run: the libraries' memory, what is free, and the speed of a 4-bit linear."""

import os
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from bitsandbytes.nn.modules import Linear4bit

from parfocal.training.methods import Device

_PROBES = 5
_MOST_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Machine:
    """Where a run would compute. `process_bytes`: of this process now; `free_bytes`: more that it could have.

    `linear_s`: for a 4-bit linear of `linear_weights` weights, both ways, with so many tokens as were asked.
    """

    device: str
    dtype: str
    width: int
    process_bytes: int
    free_bytes: int
    linear_s: float
    linear_weights: int


def this_machine(place: Device, sides: tuple[int, int], tokens: int) -> Machine:
    """Measures for half a second at most, with a linear of `sides` (in, out) on `tokens` tokens."""
    wide, tall = sides
    return Machine(
        device=str(place.device),
        dtype=str(place.dtype).removeprefix("torch."),
        width=place.dtype.itemsize,
        process_bytes=0 if place.device.type == "cuda" else _held(),
        free_bytes=_free(place.device),
        linear_s=_both_ways(place, wide, tall, min(tokens, _MOST_TOKENS)) * max(1, tokens / _MOST_TOKENS),
        linear_weights=wide * tall,
    )


def _both_ways(place: Device, wide: int, tall: int, tokens: int) -> float:
    layer = Linear4bit(wide, tall, bias=False, compute_dtype=place.dtype, quant_type="nf4").to(place.device)
    layer.train()
    inputs = torch.ones(tokens, wide, dtype=place.dtype, device=place.device, requires_grad=True)
    times = []
    for _ in range(_PROBES):
        began = time.perf_counter()
        output = layer(inputs)
        torch.autograd.grad(output, inputs, torch.ones_like(output))
        if place.device.type == "cuda":
            torch.cuda.synchronize(place.device)
        times.append(time.perf_counter() - began)
    return statistics.median(times[1:])


def _held() -> int:
    """Resident bytes of this process; an estimate where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 1 << 30
    return pages * os.sysconf("SC_PAGE_SIZE")


def _free(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    try:
        text = Path("/proc/meminfo").read_text()
    except OSError:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    line = next(line for line in text.splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024
