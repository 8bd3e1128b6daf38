"""Reads a JSONL file line by line, and says of every line that is not a JSON object why not.

Knows nothing of prompts or messages.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.values import JSON, UnreadableJson, read_foreign_json
from parfocal.training.errors import DataUnreadable
from parfocal.training.findings import Finding, Findings, Severity

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Line:
    """One JSON object of a file; `number` counts from 1, blank lines included."""

    number: int
    value: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file's objects, the faults of its other lines, and the sha256 of its bytes (as `sha256sum`)."""

    source: str
    lines: tuple[Line, ...]
    findings: tuple[Finding, ...]
    digest: str


def read_jsonl(path: Path) -> DataFile:
    """Reads what `path` holds; a faulty line becomes a finding, and reading goes on.

    Raises:
        DataUnreadable: the file is missing or cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataUnreadable(
            f"cannot read {path}: {error.strerror}; give a JSONL file with one JSON object per line",
            field="data",
        ) from error
    findings = Findings()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    lines = tuple(_objects(_without_mark(data, path.name, findings), path.name, findings))
    return DataFile(path.name, lines, findings.as_tuple(), digest)


def _without_mark(data: bytes, source: str, findings: Findings) -> bytes:
    if data.startswith(_UTF16_MARKS):
        findings.add(_error("NOT_UTF8", "the file is UTF-16; save it as UTF-8", source, 1))
        return b""
    if data.startswith(_BYTE_ORDER_MARK):
        message = "the file begins with a byte order mark, which was skipped"
        findings.add(Finding(Severity.NOTE, "BYTE_ORDER_MARK", message, source, (1,)))
        return data[len(_BYTE_ORDER_MARK) :]
    return data


def _objects(data: bytes, source: str, findings: Findings) -> Iterator[Line]:
    if _is_array(data):
        advice = "the file is one JSON array; write one object per line (jq -c '.[]' does it)"
        findings.add(_error("JSON_ARRAY", advice, source, 1))
        return
    rows = data.split(b"\n")
    last = len(rows) if rows[-1].strip() else len(rows) - 1
    for number, text in enumerate(rows[:last], start=1):
        if not text.strip():
            findings.add(Finding(Severity.NOTE, "BLANK_LINE", "is blank and was skipped", source, (number,)))
            continue
        found = _object(text, source, number)
        if isinstance(found, Finding):
            findings.add(found)
        else:
            yield found


def _object(text: bytes, source: str, number: int) -> Line | Finding:
    try:
        value = read_foreign_json(text.strip())
    except UnreadableJson as error:
        detail = str(error).replace("at line 1, column", "at column")
        return _error("BAD_JSON", f"is not JSON that can be used; first: {detail}", source, number)
    if not isinstance(value, Mapping):
        return _error("NOT_AN_OBJECT", "is JSON, but not an object in braces", source, number)
    return Line(number, value)


def _is_array(data: bytes) -> bool:
    """A file whose first line opens a bracket but is not JSON by itself is an array over many lines."""
    text = data.strip()
    if not (text.startswith(b"[") and text.endswith(b"]")):
        return False
    try:
        return isinstance(read_foreign_json(text), list)
    except UnreadableJson:
        return False


def _error(code: str, message: str, source: str, line: int) -> Finding:
    return Finding(Severity.ERROR, code, message, source, (line,))
