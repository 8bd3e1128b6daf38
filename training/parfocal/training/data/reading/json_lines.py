"""JSON lines: one object a line. A line that is none is named, and reading goes on with the next."""

from collections.abc import Iterator

from parfocal.training.data.reading.records import (
    MAX_RECORD_BYTES,
    PIECE_BYTES,
    ByteSource,
    Records,
    note,
    record,
    too_long,
)


def read_json_lines(data: ByteSource, source: str) -> Records:
    """Yields the object of every line, or what is wrong with the line."""
    blank = 0  # blank lines at the end are nobody's fault
    for number, line in enumerate(_lines(data), start=1):
        if line is None:
            yield too_long(source, number)
        elif not line.strip():
            blank += 1
            continue
        for skipped in range(number - blank, number):
            yield note("BLANK_LINE", "is blank and was skipped", source, skipped)
        blank = 0
        if line is not None:
            yield record(line, source, number)


def _lines(data: ByteSource) -> Iterator[bytes | None]:
    """Yields line by line; None for one that is too long to hold."""
    rest, dropping = b"", False
    while piece := data.read(PIECE_BYTES):
        first, *others = piece.split(b"\n")
        if not dropping:
            rest += first
        if len(rest) > MAX_RECORD_BYTES:
            rest, dropping = b"", True
        for line in others:
            yield None if dropping else rest
            rest, dropping = line, False
    if dropping or rest:
        yield None if dropping else rest
