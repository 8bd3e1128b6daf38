"""The one place that picks a base's backend: by settings, device, and what runs here."""

import logging

import torch

from parfocal.engine.backends.native import NativeBackend, Numbers, load
from parfocal.engine.backends.torch import TorchBackend
from parfocal.engine.config import EngineConfig
from parfocal.engine.devices import Device, device_at
from parfocal.engine.model import Backend

log = logging.getLogger(__name__)


def choose_backend(config: EngineConfig, at: torch.device, dtype: torch.dtype, head_dim: int) -> Backend:
    """The fastest backend that runs here, suits the base, and `config` allows."""
    device = device_at(at)
    chosen: Backend | None = None
    if config.kernels == "auto":
        chosen = _cuda(device, dtype) if device.overlaps else _native(config, at, dtype, head_dim)
    return chosen or TorchBackend(
        device, dtype, exact=config.dtype == "float32", unpack_bytes=config.unpack_bytes
    )


def _native(config: EngineConfig, at: torch.device, dtype: torch.dtype, head_dim: int) -> Backend | None:
    library = load() if dtype is torch.float32 and at.type == "cpu" else None
    if library is None or not library.can_attend(head_dim):
        return None
    return NativeBackend(library, _numbers(config), config.unpack_bytes)


def _numbers(config: EngineConfig) -> Numbers:
    """The number format in which native kernels multiply 4-bit weights."""
    if config.dtype == "float32":
        return Numbers.EXACT
    return Numbers.NARROW if config.activation_bits == 8 else Numbers.WIDE


def _cuda(device: Device, dtype: torch.dtype) -> Backend | None:
    try:
        # Imported here: it needs Triton, which comes only with torch's CUDA builds.
        from parfocal.engine.backends.cuda import CudaBackend, card_of
    except ImportError as error:
        log.warning("kernels for CUDA disabled (%s); using PyTorch: slower, same results", error)
        return None
    return CudaBackend(device, card_of(device.at), dtype)
