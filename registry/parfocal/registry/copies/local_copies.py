"""Local folders of adapters, by digest, whose every byte is verified each time one is asked for.

What opens such a folder cannot change a blob: its files are copies, or share their bytes with blobs only
where this process may not write to them. Does not know where absent bytes come from.
"""

import os
import shutil
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from parfocal.registry.disk import Staging, make_like, read_only_mode
from parfocal.registry.errors import BlobCorrupt
from parfocal.registry.values import FileEntry, Hasher, Manifest, chunks_of, digest_of_file, hex_of

_LIMIT_BYTES = 16 << 30
# A caller opens a folder's files soon; once open, they outlive their removal.
_GRACE_S = 3600.0
# Looking at all folders takes 50 us for each, on a thread whose load somebody waits for.
_UNSEEN_SHARE = 64


class LocalCopies:
    """Folders `<home>/materialised/<hex>`; new files are prepared in `<home>/staging`.

    Beyond `limit_bytes` (shared bytes do not count), removes the least recently used, except those used
    within the last hour. Looks at them when it places its first file, and each time when it has placed a 64th
    of the limit since.
    """

    def __init__(self, home: Path, limit_bytes: int = _LIMIT_BYTES) -> None:
        self._home = home
        self._root = home / "materialised"
        self._staging = Staging(home / "staging")
        self._limit_bytes = limit_bytes
        self._unseen_bytes = limit_bytes

    @property
    def home(self) -> Path:
        """The folder that everything is under."""
        return self._home

    @property
    def staging(self) -> Staging:
        """The work folders on the same disk."""
        return self._staging

    def path(self, digest: str) -> Path:
        """The folder of an adapter, made when absent; raises OSError."""
        folder = self._root / hex_of(digest)
        if folder.is_symlink():  # leads out of the cache, to files that are not ours to remove
            folder.unlink()
        if not folder.is_dir():
            self._home.mkdir(parents=True, exist_ok=True)
            make_like(self._root, self._home)
            make_like(folder, self._home)
        return folder

    def missing(self, digest: str, manifest: Manifest) -> tuple[FileEntry, ...]:
        """The files that are absent or wrong, after every byte of the others was read; raises OSError.

        What does not belong to the adapter is removed: a loader may prefer an unpublished file.
        """
        folder = self.path(digest)
        with suppress(OSError):  # where nothing can be written, nothing is evicted either
            os.utime(folder)
        wanted = {entry.path for entry in manifest.files}
        for stranger in folder.iterdir():
            if stranger.name not in wanted:
                _remove(stranger)
        return tuple(entry for entry in manifest.files if not _is_intact(folder / entry.path, entry))

    def place(self, digest: str, entry: FileEntry, chunks: Iterable[bytes]) -> None:
        """Puts a file in place once all its bytes are verified; raises BlobCorrupt or OSError."""
        with self._staging.work_folder() as work:
            temporary = work / "file"
            hasher = Hasher()
            with temporary.open("wb") as target:
                for chunk in chunks:
                    hasher.update(chunk)
                    target.write(chunk)
            check_received(entry, hasher)
            temporary.chmod(read_only_mode(self._home))
            temporary.replace(self.path(digest) / entry.path)
        self._unseen_bytes += entry.size
        if self._unseen_bytes > self._limit_bytes // _UNSEEN_SHARE:
            self._unseen_bytes = 0
            self._make_room()

    def take(self, digest: str, entry: FileEntry, file: Path) -> None:
        """Moves a local file into place whose bytes were verified; raises OSError."""
        file.chmod(read_only_mode(self._home))
        file.replace(self.path(digest) / entry.path)
        self._make_room()

    def link(self, digest: str, entry: FileEntry, link: Callable[[Path], bool]) -> bool:
        """Puts a file in place that `link` hard-linked, once its bytes are verified.

        False where `link` could not. Raises BlobCorrupt or OSError.
        """
        with self._staging.work_folder() as work:
            temporary = work / "file"
            if not link(temporary):
                return False
            hasher = Hasher()
            with temporary.open("rb") as file:
                for chunk in chunks_of(file):
                    hasher.update(chunk)
            check_received(entry, hasher)
            temporary.replace(self.path(digest) / entry.path)
        return True

    def held(self) -> list[Path]:
        """The folders that exist."""
        return sorted(self._root.glob("*")) if self._root.is_dir() else []

    def _make_room(self) -> None:
        sizes = {folder: own_bytes(folder) for folder in self.held()}
        excess = sum(sizes.values()) - self._limit_bytes
        young = time.time() - _GRACE_S
        for folder, used_at in sorted(_used(sizes), key=lambda item: item[1]):
            if excess <= 0 or used_at > young:
                return
            excess -= sizes[folder]
            shutil.rmtree(folder, ignore_errors=True)


def own_bytes(folder: Path) -> int:
    """What removing the folder would free: the bytes of files not shared with anything."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):  # another process may remove folders too
            found = path.lstat()
            if not path.is_dir() and found.st_nlink == 1:
                total += found.st_size
    return total


def check_received(entry: FileEntry, hasher: Hasher) -> None:
    """Raises BlobCorrupt unless the bytes that passed are those of `entry`."""
    if hasher.digest != entry.digest or hasher.size != entry.size:
        raise BlobCorrupt(
            f"{entry.path} should be {entry.size} bytes with digest {entry.digest}, "
            f"but {hasher.size} bytes with digest {hasher.digest} were found; publish the adapter again",
            file=entry.path,
            expected=entry.digest,
            actual=hasher.digest,
        )


def _used(folders: Iterable[Path]) -> list[tuple[Path, float]]:
    """The folders with the times of their last use."""
    found = []
    for folder in folders:
        with suppress(FileNotFoundError):
            found.append((folder, folder.stat().st_mtime))
    return found


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_intact(path: Path, entry: FileEntry) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size:
        return False
    return digest_of_file(path) == entry.digest
