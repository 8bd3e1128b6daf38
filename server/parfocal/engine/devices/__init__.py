"""Machines and GPUs as places to compute: memory, clock, current device. Knows no models and no adapters."""

from parfocal.engine.devices.device import Cuda, Device, Gpu, Machine, device_at, machine_bytes
from parfocal.engine.devices.marks import EventMarks

__all__ = ["Cuda", "Device", "EventMarks", "Gpu", "Machine", "device_at", "machine_bytes"]
