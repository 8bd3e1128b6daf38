"""Blobs in memory, which prove that a registry knows no folders."""

import io
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from parfocal.registry.blobs import Blob
from parfocal.registry.errors import BlobMissing
from parfocal.registry.values import Event, Readable, digest_of, parse_digest


class MemoryJournal:
    """A journal that is a list."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._lock = threading.Lock()

    def last(self) -> Event | None:
        return self._events[-1] if self._events else None

    def read(self) -> Iterator[Event]:
        yield from self._events

    def is_intact(self) -> bool:
        return True

    def set_aside(self) -> str:
        self._events = []
        return "nowhere"

    def extend(self, newer: Callable[[int], Sequence[Event]]) -> None:
        with self._lock:
            self._events += newer(len(self._events))


class MemoryBlobs:
    """Blobs that are a dictionary."""

    def __init__(self) -> None:
        self._content: dict[str, bytes] = {}
        self._journal = MemoryJournal()

    @property
    def journal(self) -> MemoryJournal:
        return self._journal

    def size(self, digest: str) -> int | None:
        return len(self._content[digest]) if digest in self._content else None

    def open(self, digest: str) -> BinaryIO:
        if parse_digest(digest) not in self._content:
            raise BlobMissing(f"blob {digest} is gone", digest=digest)
        return io.BytesIO(self._content[digest])

    @contextmanager
    def stage(self) -> Iterator["StagedBytes"]:
        yield StagedBytes(self._content)

    def put(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        with self.stage() as staged:
            blob = staged.fill(source, advanced)
            staged.keep()
        return blob

    def adopt(self, file: Path, blob: Blob) -> None:
        self._content[blob.digest] = file.read_bytes()

    def quarantine(self, digest: str) -> str:
        if digest not in self._content or digest_of(self._content[digest]) == digest:
            return ""
        del self._content[digest]
        return "nowhere"

    def link(self, digest: str, target: Path, to_read: bool = False) -> bool:
        return False

    def moment(self) -> datetime | None:
        return None

    def stored(self) -> Iterator[Blob]:
        yield from (Blob(digest, len(data)) for digest, data in list(self._content.items()))

    def remove(self, digest: str) -> None:
        self._content.pop(digest, None)

    def clean(self) -> None:
        pass


class StagedBytes:
    """Bytes that become an entry of a dictionary."""

    def __init__(self, content: dict[str, bytes]) -> None:
        self._content = content
        self._data = b""

    def fill(self, source: Readable, advanced: Callable[[int], None] | None = None) -> Blob:
        self._data = source.read()
        if advanced is not None:
            advanced(len(self._data))
        return Blob(digest_of(self._data), len(self._data))

    def open(self) -> BinaryIO:
        return io.BytesIO(self._data)

    def keep(self) -> None:
        self._content[digest_of(self._data)] = self._data
