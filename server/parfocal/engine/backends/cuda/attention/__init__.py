"""Attention over the paged cache on CUDA, and the choice of implementation."""

from parfocal.engine.backends.cuda.attention.choice import choose_attention
from parfocal.engine.backends.cuda.attention.rows import CudaAttention, processors_of, shares_bytes
from parfocal.engine.backends.cuda.attention.tables import DecodeTable

__all__ = [
    "CudaAttention",
    "DecodeTable",
    "choose_attention",
    "processors_of",
    "shares_bytes",
]
