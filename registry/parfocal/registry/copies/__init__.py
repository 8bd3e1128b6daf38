"""Local copies of adapters by digest, verified at each use, and bounded; and files on their way here."""

from parfocal.registry.copies.local_copies import LocalCopies, check_received, own_bytes
from parfocal.registry.copies.partial import ArrivingFile, PartialFiles

__all__ = [
    "ArrivingFile",
    "LocalCopies",
    "PartialFiles",
    "check_received",
    "own_bytes",
]
