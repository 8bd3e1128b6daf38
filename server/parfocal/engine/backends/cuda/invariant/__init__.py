"""Linears and norms on CUDA whose rows get the same bits in every batch."""

from parfocal.engine.backends.cuda.invariant.linears import InvariantLinear, InvariantLinear4bit
from parfocal.engine.backends.cuda.invariant.norm import InvariantNorm
from parfocal.engine.backends.cuda.invariant.replacing import is_invariant, make_invariant

__all__ = [
    "InvariantLinear",
    "InvariantLinear4bit",
    "InvariantNorm",
    "is_invariant",
    "make_invariant",
]
