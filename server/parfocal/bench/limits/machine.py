"""Describes what a bench ran on, machine and versions, so that figures can be compared honestly."""

import os
import platform
from pathlib import Path

import torch

from parfocal.server import build_info, package_version

Document = dict[str, object]


def machine(device: str, load: float) -> Document:
    """What decides speed here; `load` is what `load_average` gave before the bench."""
    return {
        "system": platform.platform(),
        "cpu": _cpu_name(),
        "cores": _usable_cores(),
        "threads": torch.get_num_threads(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "accelerator": torch.cuda.get_device_name(device) if device.startswith("cuda") else None,
        "load_before": round(load, 2),
    }


def load_average() -> float:
    """The load average of the last minute, about 0 on a quiet machine."""
    return os.getloadavg()[0]


def versions() -> dict[str, str]:
    """The versions of everything that was measured."""
    own = build_info()
    own = {"parfocal": own.pop("version")} | own
    return own | {name: package_version(name) for name in ("peft", "grpcio", "tokenizers")}


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _usable_cores() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS has no affinity
        return os.cpu_count() or 1
