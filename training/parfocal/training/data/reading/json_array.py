"""One JSON array of objects, read element by element, so that it need not fit into memory."""

import re
from collections.abc import Iterator

from parfocal.training.data.reading.records import (
    MAX_RECORD_BYTES,
    PIECE_BYTES,
    ByteSource,
    Records,
    fault,
    note,
    record,
    too_long,
)

# Whole strings, so that brackets in them do not count; a lone quotation mark is a string that goes on.
_MARKS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|"|[\[\]{},]', re.DOTALL)
_OPENING, _CLOSING = (b"[", b"{"), (b"]", b"}")


def read_json_array(data: ByteSource, source: str) -> Records:
    """Yields the elements of the array that `data` holds; `number` is the line where each begins."""
    yield note(
        "JSON_ARRAY",
        "is one JSON array, read element by element; the numbers are lines of the file",
        source,
        1,
    )
    for number, text in _elements(data):
        if text is None:
            yield too_long(source, number)
            return
        if text.startswith(b"\0"):
            yield fault("BAD_JSON", text[1:].decode(), source, number, "complete or mend the array")
            return
        yield record(text, source, number)


def _elements(data: ByteSource) -> Iterator[tuple[int, bytes | None]]:
    """Yields each element with its line: None for one that is too long, a NUL and a reason for no array."""
    scan = _Scan()
    while not scan.ended:
        piece = data.read(PIECE_BYTES)
        yield from scan.take(piece)
        if not piece:
            break
        if len(scan.rest) > MAX_RECORD_BYTES:
            yield scan.line_of_element(), None
            return
    if not scan.ended:
        yield scan.line_of_element(), b"\0is where the array, or its last element, is not closed"
    elif scan.rest.strip() or data.read(1):
        yield scan.line_of_element(), b"\0is where something follows the array; give one array per file"


class _Scan:
    """Finds where elements begin and end; keeps only the bytes of the one that is still open."""

    def __init__(self) -> None:
        self.rest = b""
        self.ended = False
        self._line = 1  # of the first byte of `rest`
        self._depth = 0
        self._looked = 0  # how much of `rest` has been looked at

    def line_of_element(self) -> int:
        """The line where the element that is open begins."""
        blank = len(self.rest) - len(self.rest.lstrip())
        return self._line + self.rest.count(b"\n", 0, blank)

    def take(self, piece: bytes) -> Iterator[tuple[int, bytes]]:
        self.rest += piece
        start = 0
        for mark in _MARKS.finditer(self.rest, self._looked):
            token = mark[0]
            if token == b'"':
                self._looked = mark.start()
                break
            self._looked = mark.end()
            if token in _OPENING:
                self._depth += 1
                if self._depth == 1:
                    start = self._cut(start, mark.end())
            elif token in _CLOSING:
                self._depth -= 1
            at_end = self._depth == 0 and token in _CLOSING
            if at_end or (token == b"," and self._depth == 1):
                text = self.rest[start : mark.start()]
                if text.strip() or not at_end:
                    yield self._line + text[: len(text) - len(text.lstrip())].count(b"\n"), text.strip()
                start = self._cut(start, mark.end())
                if at_end:
                    self.ended = True
                    break
        self.rest = self.rest[start:]
        self._looked -= start

    def _cut(self, start: int, end: int) -> int:
        self._line += self.rest.count(b"\n", start, end)
        return end
