"""Attention over the paged cache on CUDA, and the choice of implementation."""

from parfocal.engine.backends.cuda.attention.choice import Attend, choose_attention
from parfocal.engine.backends.cuda.attention.rows import (
    CudaAttention,
    CudaAttentionStep,
    processors_of,
    shares_bytes,
)
from parfocal.engine.backends.cuda.attention.tables import DecodeTable
from parfocal.engine.backends.cuda.attention.varlen import VarlenAttentionStep

__all__ = [
    "Attend",
    "CudaAttention",
    "CudaAttentionStep",
    "DecodeTable",
    "VarlenAttentionStep",
    "choose_attention",
    "processors_of",
    "shares_bytes",
]
