"""What readers of data files yield: objects with the lines they begin in, and what is wrong with others."""

import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from parfocal.registry.values import JSON, UnreadableJson, read_foreign_json
from parfocal.training.findings import Finding, Severity

MAX_RECORD_BYTES = 64 << 20  # what one record may hold in memory; the longest context is a hundredth of it
# Half a million messages; a line of nothing but brackets would take fifty times its size.
MAX_RECORD_VALUES = 2_000_000
PIECE_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Line:
    """One object of a file; `number` counts lines from 1, or rows where the file has no lines."""

    number: int
    value: Mapping[str, JSON]


Records = Iterator[Line | Finding]


class ByteSource(Protocol):
    """Bytes that are read once, from the first to the last."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes; none at the end."""


class ForwardFile(io.RawIOBase):
    """A source of bytes as the io library takes a file: it only goes forwards."""

    def __init__(self, data: ByteSource) -> None:
        self._data = data

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # that of io takes any buffer
        piece = self._data.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def record(text: bytes, source: str, number: int) -> Line | Finding:
    """The object that `text`, one line or one element of an array, holds."""
    try:
        value = read_foreign_json(text.strip(), max_values=MAX_RECORD_VALUES)
    except UnreadableJson as error:
        detail = str(error).replace("at line 1, column", "at column")
        return fault("BAD_JSON", f"is not JSON that can be used; first: {detail}", source, number)
    if not isinstance(value, Mapping):
        return fault("NOT_AN_OBJECT", "is JSON, but not an object in braces", source, number)
    return Line(number, value)


def too_long(source: str, number: int) -> Finding:
    """Says that the record at `number` is more than is read at once."""
    return fault(
        "LINE_TOO_LONG",
        f"is longer than {MAX_RECORD_BYTES >> 20} MiB, more than any context holds, and was not read",
        source,
        number,
        "split it, or take the line out",
    )


def fault(code: str, message: str, source: str, line: int | None = None, fix: str = "") -> Finding:
    """An error at a line, or of the whole file."""
    return Finding(Severity.ERROR, code, message, source, () if line is None else (line,), fix)


def note(code: str, message: str, source: str, line: int | None = None) -> Finding:
    """What is worth knowing, and nothing to mend."""
    return Finding(Severity.NOTE, code, message, source, () if line is None else (line,))


def records_of(found: Iterable[Line | Finding]) -> tuple[tuple[Line, ...], tuple[Finding, ...]]:
    """Sorts what a reader yields into objects and faults."""
    lines: list[Line] = []
    faults: list[Finding] = []
    for each in found:
        (lines.append(each) if isinstance(each, Line) else faults.append(each))
    return tuple(lines), tuple(faults)
