"""Permissions of files in a shared folder: whoever may read or write the folder may do so with them."""

import os
import stat
from contextlib import suppress
from pathlib import Path


def file_mode(folder: Path) -> int:
    """The mode of a file that whoever may write into `folder` may change; raises OSError."""
    return folder.stat().st_mode & 0o666


def read_only_mode(folder: Path) -> int:
    """The mode of a file that never changes: readable for whoever may read `folder`; raises OSError."""
    return folder.stat().st_mode & 0o444


def lock_mode(folder: Path) -> int:
    """The mode of a lock: closed to those who may only read `folder`, as they could block its writers."""
    mode = folder.stat().st_mode
    pairs = ((stat.S_IWUSR, 0o600), (stat.S_IWGRP, 0o060), (stat.S_IWOTH, 0o006))
    return sum(both for writes, both in pairs if mode & writes)


def give_to_owner(file: int | Path, folder: Path) -> None:
    """Gives what root makes in a folder to the folder's owner, who could not use it otherwise."""
    if os.geteuid() == 0:
        found = folder.stat()
        with suppress(PermissionError):  # a container's root may not be allowed to change owners
            os.chown(file, found.st_uid, found.st_gid)


def make_like(folder: Path, model: Path) -> None:
    """Makes `folder`, if absent, for the users of `model`; raises OSError."""
    try:
        folder.mkdir()
    except FileExistsError:
        return
    give_to_owner(folder, model)
    os.chmod(folder, model.stat().st_mode & 0o2777)
