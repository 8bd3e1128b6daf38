"""An adapter that passed every check and waits to be stored, and how it is. Checks nothing."""

import io
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Protocol, TypeAlias

from parfocal.registry.blobs import Blob, BlobStore
from parfocal.registry.errors import AdapterRefused
from parfocal.registry.peft import MAX_WEIGHTS_BYTES, begun_anew, open_regular
from parfocal.registry.publishing.beginning import BegunWeights, Filled
from parfocal.registry.publishing.publication import Publication
from parfocal.registry.values import WEIGHTS_FILE, FileEntry

# Beside the files of a checked adapter, until both are stored.
MANIFEST_FILE = "manifest.json"

NOTHING_HELD: Mapping[str, FileEntry] = MappingProxyType({})
Progress: TypeAlias = Callable[[int, int], None]
# Files of the folder that was checked whose very bytes are stored already, by their names.
Held: TypeAlias = Mapping[str, FileEntry]


class Ready(Protocol):
    """An adapter that passed every check. Nothing is stored yet."""

    def store(
        self,
        blobs: BlobStore,
        progress: Progress | None = None,
        held: Held = NOTHING_HELD,
        begun: BegunWeights | None = None,
    ) -> bytes:
        """Stores the files but those that are `held`, then their manifest, and returns it.

        Weights that have `begun` to be stored are kept where they are published as they are. `progress` is
        told the bytes stored and their total. Raises AdapterRefused when a file was changed since it was
        checked, and OSError.
        """
        ...


class Check(Protocol):
    """Checks a folder."""

    def __call__(
        self, folder: Path, publication: Publication, held: Held = NOTHING_HELD
    ) -> AbstractContextManager[Ready]:
        """What it holds, ready to be stored in the scope; the digests of files that are `held` are known.

        Raises as `draft` does.
        """
        ...


class Stored:
    """Files of one adapter, of `total` bytes, as they are stored one after the other."""

    def __init__(self, blobs: BlobStore, total: int, progress: Progress | None) -> None:
        self.files: list[FileEntry] = []
        self._blobs = blobs
        self._total = total
        self._progress = progress
        self._done = 0

    def put(self, name: str, source: BinaryIO) -> FileEntry:
        """Stores the file `name`."""
        blob = self._blobs.put(source, self._advance)
        self.files.append(FileEntry(name, blob.size, blob.digest))
        return self.files[-1]

    def take(self, name: str, begun: BegunWeights, is_whole: Callable[[Filled], bool]) -> FileEntry:
        """Stores a file that has begun to be stored; raises AdapterRefused where it is not whole."""
        filled = begun.filled(self._advance)
        if not is_whole(filled):
            raise changed_meanwhile(name)
        filled.staged.keep()
        self.files.append(FileEntry(name, filled.blob.size, filled.blob.digest))
        return self.files[-1]

    def keep(self, entry: FileEntry) -> FileEntry:
        """Takes a file as it is stored already."""
        self.files.append(entry)
        self._advance(entry.size)
        return entry

    def under(self, manifest: bytes) -> bytes:
        """Stores the manifest over the files, and returns it."""
        self._blobs.put(io.BytesIO(manifest))
        return manifest

    def _advance(self, count: int) -> None:
        self._done += count
        if self._progress is not None:
            self._progress(self._done, self._total)


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """A file to be stored: the bytes in `beginning`, if any, in place of the first `skipped` of `source`."""

    entry: FileEntry
    source: Path
    beginning: Path | None = None
    skipped: int = 0

    def is_in(self, filled: Filled) -> bool:
        """Whether these very bytes were stored."""
        return filled.blob == Blob(self.entry.digest, self.entry.size)


@dataclass(frozen=True, slots=True)
class ReadyFiles:
    """What another process found ready: files, and the bytes of the manifest over them in a file too."""

    files: tuple[ReadyFile, ...]
    manifest: Path

    def store(
        self,
        blobs: BlobStore,
        progress: Progress | None = None,
        held: Held = NOTHING_HELD,
        begun: BegunWeights | None = None,
    ) -> bytes:
        """As `Ready` says. Reads neither weights nor manifest for what they mean."""
        stored = Stored(blobs, sum(file.entry.size for file in self.files), progress)
        for file in self.files:
            if file.beginning is None and held.get(file.entry.path) == file.entry:
                stored.keep(file.entry)
            elif file.beginning is None and begun is not None and file.entry.path == WEIGHTS_FILE:
                stored.take(WEIGHTS_FILE, begun, file.is_in)
            else:
                _put(file, stored)
        return stored.under(self.manifest.read_bytes())


def _put(file: ReadyFile, stored: Stored) -> None:
    beginning = b"" if file.beginning is None else file.beginning.read_bytes()
    with open_regular(file.source, MAX_WEIGHTS_BYTES) as source:
        if stored.put(file.entry.path, begun_anew(source, beginning, file.skipped)) != file.entry:
            raise changed_meanwhile(file.entry.path)


def changed_meanwhile(name: str) -> AdapterRefused:
    """The refusal of a file that somebody wrote to while it was published."""
    return AdapterRefused(f"{name} changed while it was published; try again", field=name)
