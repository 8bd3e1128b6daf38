"""Local folders of adapters, by digest, whose every byte is verified each time one is asked for.

They hold copies, so that whatever opens such a folder cannot reach the blobs. Does not know where missing
bytes come from.
"""

import shutil
from collections.abc import Iterable
from pathlib import Path

from parfocal.registry.blobs.staging import Staging
from parfocal.registry.errors import BlobCorrupt
from parfocal.registry.values import FileEntry, Hasher, Manifest, digest_of_file, hex_of


class AdapterFolders:
    """Folders `<home>/materialised/<hex>`; new files are prepared in `<home>/staging`."""

    def __init__(self, home: Path) -> None:
        self._root = home / "materialised"
        self._staging = Staging(home / "staging")

    @property
    def staging(self) -> Staging:
        """The work folders on the same disk."""
        return self._staging

    def path(self, digest: str) -> Path:
        """Returns the folder of an adapter, made when absent; raises OSError."""
        folder = self._root / hex_of(digest)
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def missing(self, digest: str, manifest: Manifest) -> tuple[FileEntry, ...]:
        """Returns the files that are absent or wrong, having read every byte of the others; raises OSError.

        What does not belong to the adapter is removed: a loader may prefer a file that nobody published.
        """
        folder = self.path(digest)
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
            temporary.chmod(0o444)
            temporary.replace(self.path(digest) / entry.path)

    def held(self) -> Iterable[Path]:
        """Yields the folders that exist."""
        return sorted(self._root.glob("*")) if self._root.is_dir() else []


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


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_intact(path: Path, entry: FileEntry) -> bool:
    if path.is_symlink() or not path.is_file() or path.stat().st_size != entry.size:
        return False
    return digest_of_file(path) == entry.digest
