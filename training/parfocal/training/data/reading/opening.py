"""Opens a data file, standard input or a data set of the Hub, and yields its objects one after the other."""

import gzip
import hashlib
import shutil
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import BinaryIO, cast

from parfocal.training.data.reading.json_array import read_json_array
from parfocal.training.data.reading.json_lines import read_json_lines
from parfocal.training.data.reading.parquet import MAGIC, read_parquet
from parfocal.training.data.reading.records import PIECE_BYTES, ForwardFile, Line, Records, fault
from parfocal.training.data.reading.sniffing import GZIP, SNIFFED_BYTES, Container, Sniffed, sniff
from parfocal.training.data.reading.tables import read_table
from parfocal.training.errors import DataUnreadable
from parfocal.training.findings import Finding

STANDARD_INPUT = "-"
Progress = Callable[[int, int], None]


class DataStream:
    """The objects of one data file, read once, in bounded memory; iterate over it for lines and faults.

    `source` names it in findings. `digest` is the sha256 of its bytes, as `sha256sum` says, once all were
    read. `container` is how it keeps its rows, once the first was asked for. `progress` is told (read, all)
    bytes; all is 0 where nobody knows.
    """

    def __init__(self, path: Path, progress: Progress | None = None) -> None:
        """Names it; it is opened when the first object is asked for, which raises DataUnreadable."""
        self.path = path
        self.source = "standard input" if str(path) == STANDARD_INPUT else path.name
        self.container: Container | None = None
        self._progress = progress
        self._stack = ExitStack()
        self._bytes: _Counted | None = None

    @property
    def digest(self) -> str:
        """The sha256 of all that was read so far."""
        read = hashlib.sha256() if self._bytes is None else self._bytes.hash
        return f"sha256:{read.hexdigest()}"

    @property
    def size(self) -> int:
        """How many bytes were read so far."""
        return 0 if self._bytes is None else self._bytes.read_bytes

    def __iter__(self) -> Iterator[Line | Finding]:
        with self._stack:
            try:
                self._bytes = _Counted(*self._opened(), self._progress)
                yield from self._records(self._bytes)
                self._bytes.finish()
            except OSError as error:
                raise _unreadable(self.path, error) from error

    def _opened(self) -> tuple[BinaryIO, int]:
        if str(self.path) == STANDARD_INPUT:
            return sys.stdin.buffer, 0
        file = self._stack.enter_context(self.path.open("rb"))
        return file, self.path.stat().st_size

    def _records(self, counted: "_Counted") -> Records:
        data = _Peeked(counted)
        if data.peek(len(GZIP)) == GZIP:
            data = _Peeked(cast("BinaryIO", gzip.GzipFile(fileobj=cast("BinaryIO", ForwardFile(data)))))
        try:
            sniffed = sniff(data.peek(SNIFFED_BYTES), self.source)
            self.container = sniffed.container
            yield from sniffed.findings
            data.read(sniffed.skip)
            yield from self._contained(data, counted, sniffed)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            message = f"the compressed file is damaged: {error}"
            yield fault("BAD_GZIP", message, self.source, None, "download or compress it again")

    def _contained(self, data: "_Peeked", counted: "_Counted", sniffed: Sniffed) -> Records:
        if sniffed.container is Container.JSON_LINES:
            return read_json_lines(data, self.source)
        if sniffed.container is Container.JSON_ARRAY:
            return read_json_array(data, self.source)
        if sniffed.container is Container.TABLE:
            return read_table(data, self.source, sniffed.delimiter)
        if sniffed.container is Container.PARQUET:
            return read_parquet(self._whole(data, counted), self.path, self.source)
        return iter(())

    def _whole(self, data: "_Peeked", counted: "_Counted") -> BinaryIO:
        """A file to jump about in, as Parquet's last bytes say where the first are."""
        file = counted.file
        if file.seekable():
            file.seek(0)
            if file.read(len(MAGIC)) == MAGIC:
                file.seek(counted.read_bytes)
                counted.finish()
                file.seek(0)
                return file
            file.seek(counted.read_bytes)
        copy = self._stack.enter_context(_temporary())
        shutil.copyfileobj(cast("BinaryIO", ForwardFile(data)), copy, PIECE_BYTES)
        copy.seek(0)
        return copy


class _Counted:
    """Reads a file, hashing and counting what passes."""

    def __init__(self, file: BinaryIO, size: int, progress: Progress | None) -> None:
        self.file = file
        self.hash = hashlib.sha256()
        self.read_bytes = 0
        self._size = size
        self._progress = progress
        self._finished = False

    def read(self, size: int) -> bytes:
        piece = self.file.read(size)
        self.hash.update(piece)
        self.read_bytes += len(piece)
        if self._progress is not None:
            self._progress(self.read_bytes, self._size)
        return piece

    def finish(self) -> None:
        """Reads what no reader wanted, once, so that the digest is that of the file."""
        while not self._finished and self.read(PIECE_BYTES):
            pass
        self._finished = True  # what jumps about in the file afterwards adds nothing


class _Peeked:
    """A source of bytes whose first can be looked at before they are read."""

    def __init__(self, data: "_Counted | BinaryIO") -> None:
        self._data = data
        self._ahead = b""

    def peek(self, size: int) -> bytes:
        while len(self._ahead) < size and (piece := self._data.read(size - len(self._ahead))):
            self._ahead += piece
        return self._ahead[:size]

    def read(self, size: int, /) -> bytes:
        if not self._ahead:
            return self._data.read(size)
        piece, self._ahead = self._ahead[:size], self._ahead[size:]
        return piece


def _temporary() -> AbstractContextManager[BinaryIO]:
    return cast("AbstractContextManager[BinaryIO]", tempfile.TemporaryFile())


def _unreadable(path: Path, error: OSError) -> DataUnreadable:
    return DataUnreadable(
        f"cannot read {path}: {error.strerror or error}; give a file of rows: JSON lines, a JSON array, CSV "
        "or Parquet, a data set of the Hub as hf://org/name, or - for standard input",
        field="data",
    )
