"""Who may read and write what is made in a shared folder: those who may do so in the folder itself."""

import os
import stat
from pathlib import Path


def file_mode(folder: Path) -> int:
    """The mode of a file that whoever may write into `folder` may change; raises OSError."""
    return folder.stat().st_mode & 0o666


def read_only_mode(folder: Path) -> int:
    """The mode of a file that never changes: readable for whoever may read `folder`; raises OSError."""
    return folder.stat().st_mode & 0o444


def lock_mode(folder: Path) -> int:
    """The mode of a lock: no use to those who may only read `folder`, as they could hold up its writers."""
    mode = folder.stat().st_mode
    pairs = ((stat.S_IWUSR, 0o600), (stat.S_IWGRP, 0o060), (stat.S_IWOTH, 0o006))
    return sum(both for writes, both in pairs if mode & writes)


def make_like(folder: Path, model: Path) -> None:
    """Makes `folder`, if absent, for the users of `model`; raises OSError."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    os.chmod(folder, model.stat().st_mode & 0o2777)
