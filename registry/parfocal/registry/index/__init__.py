"""Names, versions and aliases: the digest that each stands for, now and in the past."""

from parfocal.registry.index import refusals
from parfocal.registry.index.protocol import NO_TERMS, Index, Slice, Terms

__all__ = [
    "NO_TERMS",
    "Index",
    "Slice",
    "Terms",
    "refusals",
]
