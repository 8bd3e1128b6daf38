"""Rebuilds the index of a registry in a folder, and copies a registry into a new folder."""

import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.disk import (
    FolderLock,
    Staging,
    disk_errors,
    file_mode,
    give_to_owner,
    make_folder,
    make_like,
    sync_folder,
)
from parfocal.registry.errors import NotARegistry, RegistryBusy
from parfocal.registry.folder_registry import INDEX, USE_LOCK, FolderRegistry
from parfocal.registry.index.sqlite import SqliteIndex, rescue
from parfocal.registry.keeping import Copied, Rebuilt, plan, surviving
from parfocal.registry.stored_registry import StoredRegistry

_INDEX_FILES = (INDEX, f"{INDEX}-wal")
# A command that only reads is gone by then.
_PATIENCE_S = 1.0


@dataclass(frozen=True, slots=True)
class RebuiltFolder:
    """What an index was rebuilt to, and where the replaced files are kept."""

    rebuilt: Rebuilt
    set_aside: tuple[Path, ...]


def rebuild_folder(path: Path) -> RebuiltFolder:
    """Rebuilds the index of the registry in `path`; keeps the replaced files beside it.

    From the journal, the manifests among the blobs, and what can still be read of the old index if it is this
    registry's. Raises NotARegistry, RegistryBusy while any process has the registry open, or another
    StorageError.
    """
    with disk_errors(path):
        blobs = FolderBlobs(path)
        if not (path / INDEX).exists() and not _holds_anything(blobs):
            raise NotARegistry(f"{path} holds neither blobs nor an index to rebuild", path=str(path))
        locks = FolderLock(path / "lock").exclusive(), FolderLock(path / "opening.lock").exclusive()
        with _alone(path), locks[0], locks[1]:
            done = _rebuilt(path, blobs)
        FolderRegistry(path, create=False)  # writes what the journal is missing
        return done


def back_up(
    registry: StoredRegistry, target: Path, progress: Callable[[int, int], None] | None = None
) -> Copied:
    """Copies a registry as it is at one moment into the new folder `target`, which is then a registry itself.

    Publishing may go on meanwhile. Until it is complete the copy has another name beside `target`. Whoever
    may read or write the folder of the registry may do so with the copy, and nobody else. Raises
    NotARegistry when `target` holds anything, IndexLost, IndexCorrupt or another StorageError.
    """
    with disk_errors(target):
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise NotARegistry(f"{target} is not empty; give a new folder for each backup", path=str(target))
        make_folder(target.absolute().parent)
        partial = target.with_name(f".{target.name}.partial-{secrets.token_hex(4)}")
        try:
            _make_for_users_of(registry, partial)
            index = SqliteIndex(partial / INDEX, lambda: None)
            copied = registry.copy_into(index, FolderBlobs(partial), progress)
            index.close()
            os.replace(partial, target)
            sync_folder(target.absolute().parent)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return copied


def _make_for_users_of(registry: StoredRegistry, folder: Path) -> None:
    """Makes the folder, whose files take their modes from it."""
    if isinstance(registry, FolderRegistry):
        make_like(folder, registry.path)
        os.chmod(folder, folder.stat().st_mode | stat.S_IRWXU)  # the registry may be closed to writers
    else:
        folder.mkdir()


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Keeps everyone else from opening the registry; raises RegistryBusy where somebody has."""
    with ExitStack() as held:
        try:
            held.enter_context(FolderLock(path / USE_LOCK, patience_s=_PATIENCE_S).exclusive())
        except RegistryBusy as error:
            raise RegistryBusy(
                f"registry {path} is in use, and what is written into its index while it is rebuilt would be "
                "lost; stop what uses it, such as parfocal serve, then rebuild it",
                path=str(path),
            ) from error
        yield


def _rebuilt(path: Path, blobs: FolderBlobs) -> RebuiltFolder:
    events, manifests = surviving(blobs, *rescue(path / INDEX))
    found = plan(events, blobs, manifests)
    with Staging(path / "staging").work_folder() as work:
        index = SqliteIndex(work / INDEX, lambda: None)
        rebuilt = found.carry_out(index)
        index.close()
        give_to_owner(work / INDEX, path)
        os.chmod(work / INDEX, file_mode(path))
        aside = [_set_aside(path / name) for name in _INDEX_FILES if _has_content(path / name)]
        for name in (*_INDEX_FILES, f"{INDEX}-shm"):
            (path / name).unlink(missing_ok=True)
        if found.mended.is_changed or not blobs.journal.is_intact():
            aside += [_set_aside(kept) for kept in [blobs.journal.path] if kept.exists()]
        os.replace(work / INDEX, path / INDEX)
        sync_folder(path)
    return RebuiltFolder(rebuilt, tuple(aside))


def _holds_anything(blobs: FolderBlobs) -> bool:
    return blobs.journal.path.exists() or next(iter(blobs.stored()), None) is not None


def _has_content(path: Path) -> bool:
    return path.exists() and path.stat().st_size > 0


def _set_aside(path: Path) -> Path:
    """Renames a file to a free name beside it."""
    number = 1
    while (aside := path.with_name(f"{path.name}.set-aside-{number}")).exists():
        number += 1
    os.replace(path, aside)
    return aside
