"""Makes what was written survive a power cut. Knows files and folders only."""

import fcntl
import os
from pathlib import Path

from parfocal.registry.disk.modes import make_like

# macOS answers fsync before the disk has written; this asks the disk itself.
_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)


def sync_descriptor(descriptor: int) -> None:
    """Waits until the file's bytes are on the disk; raises OSError."""
    if _FULL_SYNC is None:
        os.fsync(descriptor)
    else:
        fcntl.fcntl(descriptor, _FULL_SYNC)


def sync_folder(folder: Path) -> None:
    """Waits until the folder's entries (new names, renames) are on the disk; raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path, model: Path | None = None) -> None:
    """Makes a folder and its parents so that they survive a power cut; raises OSError.

    Whoever may use `model` may use each folder that is made.
    """
    if folder.is_dir():
        return
    make_folder(folder.parent, model)
    if model is None:
        folder.mkdir(exist_ok=True)
    else:
        make_like(folder, model)
    sync_folder(folder.parent)
