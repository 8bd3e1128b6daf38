"""What the card can do at most: bytes copied on it and to it, and products."""

import time

import torch

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting
from parfocal.bench.limits.hardware import measure_hardware
from parfocal.bench.limits.machine import load_average, machine, versions
from parfocal.bench.reports.document import hardware_document

_GPU_BYTES, _CPU_BYTES = 1 << 30, 1 << 26
_COPIES = 6


def measure(setting: Setting, notes: Notes) -> None:
    """Measures the device; every later part's limit rests on this."""
    device, load = setting.scale.device, load_average()
    notes.begin("Copying and multiplying")
    hardware = measure_hardware(device)
    bus = {"host_to_device_bytes_per_second": _host_to_device(device)}
    notes.put(device=hardware_document(hardware), bus=bus, machine=machine(device, load), versions=versions())
    notes.sum_up(
        copy_gb_per_second=hardware.copy_bytes_per_second / 1e9,
        read_gb_per_second=hardware.read_bytes_per_second / 1e9,
        tflops={dtype: rate / 1e12 for dtype, rate in hardware.flops.items()},
        host_to_device_gb_per_second=bus["host_to_device_bytes_per_second"] / 1e9,
    )


def _host_to_device(device: str) -> float:
    """Returns the bytes per second from page-locked memory to the device."""
    is_cuda = device.startswith("cuda")
    size = _GPU_BYTES if is_cuda else _CPU_BYTES
    source = torch.ones(size, dtype=torch.uint8, pin_memory=is_cuda)
    target = torch.empty(size, dtype=torch.uint8, device=device)

    def seconds() -> float:
        begun = time.perf_counter()
        target.copy_(source, non_blocking=True)
        if is_cuda:
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    return size / min(seconds() for _ in range(_COPIES))
