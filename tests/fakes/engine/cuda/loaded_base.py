"""A base as the CUDA path holds it: on the GPU where there is one, elsewhere on the CPU."""

from dataclasses import replace
from pathlib import Path

import torch

from fakes.engine.cuda.uncalled_card import UncalledCard
from parfocal.engine import EngineConfig
from parfocal.engine.backends.cuda import CudaBackend, card_of
from parfocal.engine.devices import Machine, device_at
from parfocal.engine.loading import load_base
from parfocal.engine.model import ResidentBase

_CPU = EngineConfig(device="cpu", dtype="float32", kernels="torch", context_tokens=32)


def loaded_base(folder: Path, device: torch.device) -> ResidentBase:
    """The base in `folder`, in float32."""
    if device.type != "cuda":
        backend = CudaBackend(Machine(), UncalledCard.as_card(), torch.float32)
        return load_base(folder, _CPU, backend=backend)
    there = device_at(torch.device("cuda", 0))
    backend = CudaBackend(there, card_of(there.at), torch.float32)
    return load_base(folder, replace(_CPU, device="cuda"), backend=backend)
