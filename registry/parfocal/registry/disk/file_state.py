"""What tells whether a file is still the same one, short of reading it."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Self


@dataclass(frozen=True, slots=True)
class FileState:
    """Which file it is, how long, and when it was written to last."""

    device: int
    inode: int
    size: int
    modified_ns: int

    @classmethod
    def of(cls, file: BinaryIO) -> Self:
        """The present state of an open file; raises OSError."""
        return cls._in(os.fstat(file.fileno()))

    @classmethod
    def at(cls, path: Path) -> Self:
        """The present state of the file at a path, not of what it may link to; raises OSError."""
        return cls._in(path.lstat())

    @classmethod
    def _in(cls, found: os.stat_result) -> Self:
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)
