"""What a device's memory is, and how much of it a model holds."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import torch
from bitsandbytes.functional import QuantState
from torch import nn

# Where a Linux container's limit stands: control groups of version 2, then 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class CudaMemory(Protocol):
    """What CUDA tells of a device's memory; `torch.cuda` does."""

    def mem_get_info(self, device: torch.device) -> tuple[int, int]:
        """Returns the bytes that are free to everybody, and all that there are."""

    def memory_reserved(self, device: torch.device) -> int:
        """Returns the bytes that torch has taken for this process, used or not."""


def total_bytes(device: torch.device, cuda: CudaMemory = torch.cuda) -> int:
    """Returns the memory of the device; of a machine in a container, as much as the container may use."""
    if device.type == "cuda":
        return int(cuda.mem_get_info(device)[1])
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *_container_limits()])


def reachable_bytes(device: torch.device, cuda: CudaMemory = torch.cuda) -> int:
    """Returns what this process holds of the device already, and what no other process has taken."""
    if device.type == "cuda":
        return int(cuda.mem_get_info(device)[0]) + cuda.memory_reserved(device)
    return total_bytes(device)


def held_bytes(model: nn.Module) -> int:
    """Returns the bytes of all memory that the model's tensors lie in, each counted once."""
    found = (tensor.untyped_storage() for module in model.modules() for tensor in _tensors(vars(module)))
    return sum({storage.data_ptr(): storage.nbytes() for storage in found}.values())


def _tensors(value: object) -> Iterator[torch.Tensor]:
    """Yields the tensors in an attribute; submodules are left to the caller."""
    if isinstance(value, torch.Tensor):
        yield value
        yield from _tensors(getattr(value, "quant_state", None))
    elif isinstance(value, QuantState):
        yield from _tensors(vars(value))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from _tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


def _container_limits() -> Iterator[int]:
    for path in _LIMITS:
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdecimal():
            yield int(text)
