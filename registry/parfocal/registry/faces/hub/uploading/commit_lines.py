"""Reads a commit as it arrives: lines of JSON, in which a file's content may have any size.

Contents go to files of a folder, decoded; only what stands around them is held in memory. Knows no
repository, and calls block.
"""

import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from parfocal.registry.errors import InvalidUpload
from parfocal.registry.faces.hub.uploading.kept import checked_path, is_kept
from parfocal.registry.values import JSON, UnreadableJson, read_foreign_json
from parfocal.v1.limits import COMMIT_LINE_BYTES, COMMIT_LINES

SAMPLE_BYTES = 512
# Quotes within a text of JSON are escaped, so this is found nowhere but before a content.
_CONTENT = re.compile(rb'"content"\s*:\s*"')
_OVERLAP = 32
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Part:
    """A file that arrived: where it lies, and what tells it from others. `sample` digests its beginning."""

    path: Path
    size: int
    sha256: str
    sample: str


@dataclass(frozen=True, slots=True)
class Pointer:
    """A file that arrived before, by its sha256."""

    sha256: str
    size: int | None


@dataclass(slots=True)
class Commit:
    """What a commit says. `parent` is empty where it names none; `ignored` are files that are not kept."""

    parent: str = ""
    parts: dict[str, Part] = field(default_factory=dict)
    pointers: dict[str, Pointer] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)


class CommitLines:
    """Reads a commit into an empty `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._commit = Commit()
        self._line = bytearray()
        self._after = 0  # where in the line a content may begin
        self._lines = 0
        self._content: _Content | None = None
        self._part: Part | None = None

    def feed(self, data: bytes) -> None:
        """Takes the next bytes; raises InvalidUpload, MalformedFile or OSError."""
        while data:
            data = self._text(data) if self._content is None else self._content_of(self._content, data)

    def finish(self) -> Commit:
        """The commit, once all of it was taken; raises InvalidUpload."""
        if self._content is not None:
            self._content.abandon()
            raise InvalidUpload("the commit ends within a file; send all of it", field="content")
        self._end_line()
        return self._commit

    def close(self) -> None:
        """Closes what an upload that broke off left open."""
        if self._content is not None:
            self._content.abandon()

    def _text(self, data: bytes) -> bytes:
        """Takes what stands around contents; returns the rest."""
        piece, newline, rest = data.partition(b"\n")
        looked_at = max(self._after, len(self._line) - _OVERLAP)
        self._line += piece
        found = _CONTENT.search(self._line, looked_at)
        if found is not None:
            if self._part is not None:
                raise InvalidUpload("a line of the commit has two contents", field="content")
            content = bytes(self._line[found.end() :])
            del self._line[found.end() :]
            self._content = _Content(self._folder / f"part-{self._lines}")
            return content + newline + rest
        if len(self._line) > COMMIT_LINE_BYTES.most:
            raise InvalidUpload(
                f"a line of the commit has more than {COMMIT_LINE_BYTES.most} bytes beside its content",
                field="line",
            )
        if newline:
            self._end_line()
        return rest

    def _content_of(self, content: "_Content", data: bytes) -> bytes:
        piece, quote, rest = data.partition(b'"')
        content.add(piece)
        if quote:
            self._part, self._content = content.finish(), None
            self._line += quote
            self._after = len(self._line)
        return rest

    def _end_line(self) -> None:
        text, part = bytes(self._line).strip(), self._part
        self._line.clear()
        self._after = 0
        self._part = None
        if not text:
            return
        self._lines += 1
        if self._lines > COMMIT_LINES.most:
            raise InvalidUpload(f"the commit has more than {COMMIT_LINES.most} lines", field="line")
        line = _object(text, self._lines)
        value = line.get("value")
        if not isinstance(value, Mapping):
            raise InvalidUpload(f"line {self._lines} of the commit has no value", field="value")
        self._take(str(line.get("key")), value, part)

    def _take(self, key: str, value: Mapping[str, JSON], part: Part | None) -> None:
        match key:
            case "header":
                self._commit.parent = str(value.get("parentCommit") or "")
            case "file":
                self._add(_path(value), part, value)
            case "lfsFile":
                self._point(_path(value), value)
            case "deletedFile" | "deletedFolder":
                self._commit.deleted.append(_path(value))
            case _:
                raise InvalidUpload(
                    f"the commit has a line of kind {key[:40]!a}, which is unknown", field="key"
                )

    def _add(self, path: str, part: Part | None, value: Mapping[str, JSON]) -> None:
        if part is None:
            raise InvalidUpload(f"the commit has {path[:100]!a} without its content", field="content")
        if value.get("encoding") != "base64":
            raise InvalidUpload(f"{path[:100]!a} is not encoded in base64; send it so", field="encoding")
        if not is_kept(path, part.size):
            self._commit.ignored.append(path)
            part.path.unlink()
            return
        self._commit.parts[path] = part
        self._commit.pointers.pop(path, None)

    def _point(self, path: str, value: Mapping[str, JSON]) -> None:
        sha256, size = value.get("oid"), value.get("size")
        if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
            raise InvalidUpload(f"{path[:100]!a} has no sha256 as its oid", field="oid")
        if isinstance(size, bool) or not isinstance(size, int | None):
            raise InvalidUpload(f"the size of {path[:100]!a} is no number", field="size")
        if not is_kept(path, size or 0):
            self._commit.ignored.append(path)
            return
        self._commit.pointers[path] = Pointer(sha256, size)
        self._commit.parts.pop(path, None)


class _Content:
    """A content in base64, decoded into a file piece by piece."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("wb")
        self._digest = hashlib.sha256()
        self._sample = bytearray()
        self._size = 0
        self._left = b""
        self._is_padded = False

    def add(self, piece: bytes) -> None:
        whole = self._left + piece
        end = len(whole) // 4 * 4
        self._left = whole[end:]
        if not end:
            return
        try:
            decoded = binascii.a2b_base64(whole[:end], strict_mode=True)
        except binascii.Error as error:
            raise InvalidUpload(f"a content is not base64: {error}", field="content") from error
        if self._is_padded:
            raise InvalidUpload("a content is not base64: it goes on after its end", field="content")
        self._is_padded = len(decoded) < end // 4 * 3
        self._file.write(decoded)
        self._digest.update(decoded)
        self._size += len(decoded)
        self._sample += decoded[: SAMPLE_BYTES - len(self._sample)]

    def finish(self) -> Part:
        self.abandon()
        if self._left:
            raise InvalidUpload("a content is not base64: it breaks off", field="content")
        sample = hashlib.sha256(self._sample).hexdigest()
        return Part(self._path, self._size, self._digest.hexdigest(), sample)

    def abandon(self) -> None:
        self._file.close()


def _object(text: bytes, number: int) -> Mapping[str, JSON]:
    try:
        line = read_foreign_json(text)
    except UnreadableJson as error:
        raise InvalidUpload(f"line {number} of the commit is not JSON: {error}", field="line") from error
    if not isinstance(line, Mapping):
        raise InvalidUpload(f"line {number} of the commit is no object", field="line")
    return line


def _path(value: Mapping[str, JSON]) -> str:
    path = value.get("path")
    if not isinstance(path, str):
        raise InvalidUpload("a line of the commit names no path", field="path")
    return checked_path(path.rstrip("/"))
