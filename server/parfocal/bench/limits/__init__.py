"""What this machine can do at most, and what a workload needs at least."""

from parfocal.bench.limits.hardware import Hardware, measure_hardware
from parfocal.bench.limits.machine import load_average, machine, versions
from parfocal.bench.limits.roofline import Need, Roofline, decode_need, prompts_need, roofline
from parfocal.bench.limits.stored import Stored, stored_types

__all__ = [
    "Hardware",
    "Need",
    "Roofline",
    "Stored",
    "decode_need",
    "load_average",
    "machine",
    "measure_hardware",
    "prompts_need",
    "roofline",
    "stored_types",
    "versions",
]
