"""Plain torch, which runs everywhere, and what makes it faster on CPUs."""

from parfocal.engine.backends.torch.attention import AttentionStep, ChunkRow, DecodeRows
from parfocal.engine.backends.torch.backend import FourBitLinears, TorchBackend, adapted_linears
from parfocal.engine.backends.torch.needs import at_most, slab_bytes
from parfocal.engine.backends.torch.step_work import TorchStepWork
from parfocal.engine.backends.torch.unpacked_cpu import unpack_within

__all__ = [
    "AttentionStep",
    "ChunkRow",
    "DecodeRows",
    "FourBitLinears",
    "TorchBackend",
    "TorchStepWork",
    "adapted_linears",
    "at_most",
    "slab_bytes",
    "unpack_within",
]
