"""The kernels that some work launches, as CUPTI writes them down; without a card, torch's operations."""

from collections.abc import Callable

import torch
from torch.profiler import ProfilerActivity, profile


def profiled(work: Callable[[], object], device: torch.device) -> list[tuple[str, float]]:
    """Each launch's name and microseconds, in order, those in replayed graphs among them.

    On a CPU: each operation that calls no other.
    """
    is_cuda = device.type == "cuda"
    if is_cuda:
        torch.cuda.synchronize()
    kind = ProfilerActivity.CUDA if is_cuda else ProfilerActivity.CPU
    with profile(activities=[kind]) as taken:
        work()
        if is_cuda:
            torch.cuda.synchronize()
    events = sorted(taken.events(), key=lambda event: event.time_range.start)
    if is_cuda:
        own = [event for event in events if event.device_type.name == "CUDA"]
    else:
        own = [event for event in events if not event.cpu_children]
    return [(event.name, event.time_range.elapsed_us()) for event in own]
