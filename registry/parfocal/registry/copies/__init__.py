"""Local copies of adapters by digest, verified at each use, and bounded."""

from parfocal.registry.copies.local_copies import LocalCopies, check_received, own_bytes

__all__ = [
    "LocalCopies",
    "check_received",
    "own_bytes",
]
