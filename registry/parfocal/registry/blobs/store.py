"""What every store of blobs does, wherever it keeps them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from parfocal.registry.values import Event, Readable


@dataclass(frozen=True, slots=True)
class Blob:
    """The digest and the size in bytes of stored content, and when it was stored where that is known."""

    digest: str
    size: int
    stored_at: datetime | None = field(default=None, compare=False)


class Journal(Protocol):
    """The events of an index, kept beside the blobs so that a lost index can be rebuilt. It only grows.

    It is never ahead of its index, which is where an event happens first.
    """

    def last(self) -> Event | None:
        """The last event that can be read, which has the highest sequence number; raises StorageError."""
        ...

    def read(self) -> Iterator[Event]:
        """Every event that can be read, a few at a time, in the order in which they stand.

        That is the order of their numbers, unless somebody put one elsewhere. Raises StorageError.
        """
        ...

    def is_intact(self) -> bool:
        """Whether everything in it can be read, from the first event to the last; raises StorageError."""
        ...

    def set_aside(self) -> str:
        """Gives all of it another name, so that it begins anew; returns that, empty where there was nothing.

        Raises StorageError.
        """
        ...

    def extend(self, newer: Callable[[int], Sequence[Event]]) -> None:
        """Adds what `newer` gives when told the highest sequence number here (0 for none).

        One caller at a time is in `newer`. Raises StorageError.
        """
        ...


class StagedBlob(Protocol):
    """Content on its way into a store, which nobody finds there before it is kept. One thread at a time."""

    def fill(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        """Takes the rest of `source`, once; returns what it will be. Raises StorageError or OSError.

        `advanced` is told of every piece how many bytes it has.
        """
        ...

    def open(self) -> BinaryIO:
        """Opens what was taken, for reading; raises OSError."""
        ...

    def keep(self) -> None:
        """Makes a blob of it; when it returns, the blob survives a power cut. Raises as `fill` does.

        Replaces a blob that is there already, which repairs it if its bytes had rotted.
        """
        ...


class BlobStore(Protocol):
    """Keeps content under its digest. Calls raise StorageError where the store does not answer."""

    @property
    def journal(self) -> Journal:
        """The index's journal, kept beside the blobs."""
        ...

    def size(self, digest: str) -> int | None:
        """The size of a blob, or None when it is not there."""
        ...

    def open(self, digest: str) -> BinaryIO:
        """Opens a blob for reading; raises BlobMissing, and BlobCorrupt where the store itself verifies."""
        ...

    def stage(self) -> AbstractContextManager[StagedBlob]:
        """A place for content that may become a blob; where it is not kept in the scope, nothing stays."""
        ...

    def put(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        """Stores the rest of `source`, as when it is staged and kept."""
        ...

    def adopt(self, file: Path, blob: Blob) -> None:
        """Stores a local file whose bytes were verified to be those of `blob`, durably as `put` does.

        The file may be moved; nobody writes to it any more.
        """
        ...

    def link(self, digest: str, target: Path, to_read: bool = False) -> bool:
        """Hard-links the blob's file to `target`, unverified; False if a copy must be made.

        `to_read`: nobody will write to `target`, though the system let them.
        """
        ...

    def quarantine(self, digest: str) -> str:
        """Moves a blob out of the way whose bytes are not its own, read twice; returns where it is now.

        Returns an empty text where the blob is whole, or not there.
        """
        ...

    def moment(self) -> datetime | None:
        """What time it is by the clock that `stored` tells times of, and None where that cannot be told."""
        ...

    def stored(self) -> Iterator[Blob]:
        """Every blob that is there."""
        ...

    def remove(self, digest: str) -> None:
        """Removes a blob if it is there."""
        ...

    def clean(self) -> None:
        """Removes what interrupted calls left behind."""
        ...
