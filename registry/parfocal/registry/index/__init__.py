"""Names, versions and aliases: which digest each stands for, now and before."""

from parfocal.registry.index import refusals
from parfocal.registry.index.protocol import Index, Slice

__all__ = [
    "Index",
    "Slice",
    "refusals",
]
