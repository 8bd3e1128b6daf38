"""What a data file is, by its first bytes. A name's ending decides only where the bytes do not."""

import json
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePath

from parfocal.training.data.reading.parquet import MAGIC
from parfocal.training.data.reading.records import fault, note
from parfocal.training.data.reading.tables import delimiter_of
from parfocal.training.findings import Finding

SNIFFED_BYTES = 1 << 16
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
GZIP = b"\x1f\x8b"

_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_FOREIGN = (
    (b"PK\x03\x04", "a ZIP archive, as .xlsx, .docx and .zip are", "unpack it, or export it as CSV or JSONL"),
    (b"%PDF", "a PDF", "write its text as rows: no trainer can know what is asked and what is answered"),
    (b"\x28\xb5\x2f\xfd", "compressed with Zstandard", "unpack it with unzstd"),
    (b"BZh", "compressed with bzip2", "unpack it with bunzip2"),
    (b"\xfd7zXZ", "compressed with xz", "unpack it with unxz"),
    (b"ARROW1", "an Arrow file", "write it as Parquet"),
    (b"SQLite format 3", "an SQLite database", "export the table as CSV or JSONL"),
)
_BINARY_PART = 0.05  # of control characters, which text has next to none of
_CONTROL = bytes(set(range(32)) - {9, 10, 12, 13, 27})


class Container(Enum):
    """How rows are kept in a file."""

    JSON_LINES = "JSON lines"
    JSON_ARRAY = "a JSON array"
    TABLE = "CSV"
    PARQUET = "Parquet"


@dataclass(frozen=True, slots=True)
class Sniffed:
    """What a file is: None if it holds no rows, as `findings` say; `skip` bytes come before the rows."""

    container: Container | None
    findings: tuple[Finding, ...] = ()
    skip: int = 0
    delimiter: str = ","


def sniff(head: bytes, source: str) -> Sniffed:
    """Judges a file by `head`, its first SNIFFED_BYTES, unpacked."""
    if head.startswith(MAGIC):
        return Sniffed(Container.PARQUET)
    refused = _refused(head, source)
    if refused is not None:
        return Sniffed(None, (refused,))
    findings: list[Finding] = []
    skip = 0
    if head.startswith(BYTE_ORDER_MARK):
        findings.append(
            note("BYTE_ORDER_MARK", "the file begins with a byte order mark, which was skipped", source, 1)
        )
        skip = len(BYTE_ORDER_MARK)
    text = head[skip:]
    if not text.strip():
        empty = fault("EMPTY_FILE", "the file is empty", source, None, "give a file with one row a line")
        return Sniffed(None, (*findings, empty))
    if _is_array(text):
        return Sniffed(Container.JSON_ARRAY, tuple(findings), skip)
    delimiter = _table(text, source)
    if delimiter is not None:
        return Sniffed(Container.TABLE, tuple(findings), skip, delimiter)
    if whole := _spread_object(text, source):
        return Sniffed(None, (*findings, whole))
    return Sniffed(Container.JSON_LINES, tuple(findings), skip)


def _refused(head: bytes, source: str) -> Finding | None:
    if head.startswith(_UTF16_MARKS) or _looks_utf16(head):
        fix = f"convert it: iconv -f UTF-16 -t UTF-8 {source} > utf8-{source}"
        return fault("NOT_UTF8", "the file is UTF-16; save it as UTF-8", source, 1, fix)
    for magic, what, fix in _FOREIGN:
        if head.startswith(magic):
            return fault("BINARY_FILE", f"the file is {what}", source, None, fix)
    control = sum(head.count(bytes([code])) for code in _CONTROL)
    if b"\0" in head or control > _BINARY_PART * len(head):
        message = "the file holds binary data, not text"
        return fault("BINARY_FILE", message, source, None, "give JSON lines, a JSON array, CSV or Parquet")
    return None


def _looks_utf16(head: bytes) -> bool:
    """Latin text in UTF-16 without its mark: every second byte is 0."""
    half = len(head) // 2
    one, other = sorted(head[at::2].count(0) for at in (0, 1))
    return half > 1 and other > 0.9 * half and one < 0.1 * half


def _is_array(text: bytes) -> bool:
    """Whether one array begins here, rather than a line that happens to be a list."""
    if not text.lstrip().startswith(b"["):
        return False
    line, ended, rest = text.lstrip().partition(b"\n")
    if not ended or not rest.strip():
        return True
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return True
    return False


def _table(text: bytes, source: str) -> str | None:
    """The delimiter of a table; None for JSON and for plain lines."""
    heading = text.split(b"\n", 1)[0].decode("utf-8", "replace").strip("\r")
    if heading.lstrip()[:1] in ("{", "["):
        return None
    ending = PurePath(source.removesuffix(".gz")).suffix.lower()
    found = delimiter_of(heading)
    if ending in (".csv", ".tsv"):
        return found or ("\t" if ending == ".tsv" else ",")
    known = {"prompt", "completion", "text", "instruction", "output", "chosen", "rejected", "messages"}
    if found is None:
        return None
    names = {name.strip().strip('"').lower() for name in heading.split(found)}
    return found if names & known else None


def _spread_object(text: bytes, source: str) -> Finding | None:
    """One object over many lines, as people write JSON by hand."""
    if text.split(b"\n", 1)[0].strip() != b"{":
        return None
    message = "the file is one JSON object over many lines, not one object a line"
    return fault("BAD_JSON", message, source, 1, f"write one object a line (jq -c . {source} does it)")
