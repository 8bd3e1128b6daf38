"""CSV and TSV with a heading line. Cells are text; messages and tools stand in them as JSON."""

import csv
import io
from collections.abc import Iterator, Sequence

from parfocal.registry.values import JSON, UnreadableJson, read_foreign_json
from parfocal.training.data.reading.records import (
    MAX_RECORD_BYTES,
    PIECE_BYTES,
    ByteSource,
    ForwardFile,
    Line,
    Records,
    fault,
)
from parfocal.training.findings import Finding

DELIMITERS = (",", ";", "\t", "|")

_LABELS: dict[str, JSON] = {"true": True, "false": False, "1": True, "0": False}
_STRUCTURED = {
    "messages", "conversations", "tools", "input", "preferred_output", "non_preferred_output", "history",
}  # fmt: skip
_EITHER = {"prompt", "completion", "chosen", "rejected"}  # text or messages


def delimiter_of(heading: str) -> str | None:
    """The delimiter that parts the columns of a heading line; None where there is one column at most.

    >>> delimiter_of("prompt;completion")
    ';'
    """
    found = {mark: len(next(csv.reader([heading], delimiter=mark), [])) for mark in DELIMITERS}
    best = max(found, key=lambda mark: found[mark])
    return best if found[best] > 1 else None


def read_table(data: ByteSource, source: str, delimiter: str) -> Records:
    """Yields each row as an object of its non-empty cells; its number is the line where it begins."""
    csv.field_size_limit(MAX_RECORD_BYTES)  # of the process, and only a limit: 128 KiB would cut real chats
    text = _Decoded(data, source)
    reader = csv.reader(text.lines(), delimiter=delimiter, strict=True)
    columns: list[str] = []
    judged = False
    before = 0
    try:
        for cells in reader:
            number, before = before + 1, reader.line_num
            if not cells:
                continue
            if not columns:
                columns = [cell.strip() for cell in cells]
                judged = {"prompt", "completion"} <= set(columns)
                if found := _bad_heading(columns, source, number):
                    yield found
                    return
                continue
            if len(cells) != len(columns):
                message = f"have not as many cells as the heading, {len(columns)}; first: {len(cells)}"
                fix = "put texts with delimiters or line breaks in quotation marks"
                yield fault("BAD_CSV", message, source, number, fix)
                continue
            filled = {name: cell for name, cell in zip(columns, cells, strict=True) if cell}
            yield Line(number, {name: _cell(name, cell, judged) for name, cell in filled.items()})
    except csv.Error as error:
        message = f"is not CSV that can be read: {error}; the lines after it were not read"
        yield fault("BAD_CSV", message, source, before + 1, "close the quotation marks that it opens")
    except UnicodeDecodeError as error:
        message = f"is not UTF-8 ({error.reason}); the lines after it were not read"
        yield fault("NOT_UTF8", message, source, text.read_lines + 1, "save the file as UTF-8")


def _bad_heading(columns: Sequence[str], source: str, number: int) -> Finding | None:
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if not twice and all(columns):
        return None
    what = f"name the column {twice[0]!r} twice" if twice else "have a column without a name"
    return fault("BAD_CSV", f"the headings {what}", source, number, "give each column a name of its own")


def _cell(column: str, text: str, judged: bool) -> JSON:
    """Messages and tools stand in a cell as JSON, a judgement as a word. Answers that are JSON stay text."""
    if column == "label" and judged:
        return _LABELS.get(text.strip().lower(), text)
    if text[:1] not in ("[", "{") or column not in _STRUCTURED | _EITHER:
        return text
    try:
        value = read_foreign_json(text.encode())
    except UnreadableJson:
        return text
    return value if column in _STRUCTURED or _is_messages(value) else text


def _is_messages(value: JSON) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and "role" in item for item in value)


class _Decoded:
    """Lines of text, so many of which have been read."""

    def __init__(self, data: ByteSource, source: str) -> None:
        self._data = data
        self.read_lines = 0

    def lines(self) -> Iterator[str]:
        wrapped = io.TextIOWrapper(
            io.BufferedReader(ForwardFile(self._data), PIECE_BYTES), "utf-8", newline=""
        )
        for line in wrapped:
            self.read_lines += 1
            yield line
