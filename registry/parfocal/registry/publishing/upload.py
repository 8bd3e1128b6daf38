"""Receives an adapter's files piece by piece into a folder, verifying everything. Knows no wire."""

from collections.abc import Sequence
from pathlib import Path

from parfocal.registry.copies import check_received
from parfocal.registry.errors import InvalidUpload
from parfocal.registry.peft import MAX_CONFIG_BYTES, MAX_WEIGHTS_BYTES
from parfocal.registry.publishing.own_template import MAX_TEMPLATE_BYTES
from parfocal.registry.values import (
    CONFIG_FILE,
    MOST_ATTACHMENTS,
    TEMPLATE_FILE,
    WEIGHTS_FILE,
    FileEntry,
    Hasher,
    is_attachment,
)
from parfocal.v1.limits import ATTACHMENT_BYTES, PIECE_BYTES

# The files of an adapter, and how many bytes each may have.
_LIMITS = {
    CONFIG_FILE: MAX_CONFIG_BYTES,
    WEIGHTS_FILE: MAX_WEIGHTS_BYTES,
    TEMPLATE_FILE: MAX_TEMPLATE_BYTES,
}
_NEEDED = {CONFIG_FILE, WEIGHTS_FILE}
_WHAT = f"an adapter is {CONFIG_FILE}, {WEIGHTS_FILE}, perhaps {TEMPLATE_FILE}, and files attached to it"


class Upload:
    """An upload of announced `files`, in their order, into an empty `folder`.

    Raises InvalidUpload when the announcement is not the files of an adapter within their limits.
    """

    def __init__(self, folder: Path, files: Sequence[FileEntry]) -> None:
        _check_announcement(files)
        self._folder = folder
        self._files = tuple(files)
        self._done = 0
        self._hasher = Hasher()

    def write(self, path: str, data: bytes) -> None:
        """Takes the next piece of the file `path`.

        Raises InvalidUpload when it is not that file's turn or the file grows beyond its announced size,
        BlobCorrupt when the finished file does not have its digest, and OSError.
        """
        if self._done == len(self._files):
            raise InvalidUpload(
                f"more pieces came after the last file, {self._files[-1].path}", field="chunk"
            )
        entry = self._files[self._done]
        if path != entry.path:
            raise InvalidUpload(
                f"a piece of {path[:100]!a} came where {entry.path} goes on", field="chunk.path"
            )
        if not data:
            raise InvalidUpload(f"an empty piece of {entry.path} came", field="chunk.data")
        if len(data) > PIECE_BYTES.most:
            raise InvalidUpload(
                f"a piece of {entry.path} has {len(data)} bytes; send at most {PIECE_BYTES.most} at a time",
                field="chunk.data",
            )
        if self._hasher.size + len(data) > entry.size:
            raise InvalidUpload(
                f"{entry.path} is longer than the {entry.size} bytes announced", field="chunk.data"
            )
        with (self._folder / entry.path).open("ab") as file:
            file.write(data)
        self._hasher.update(data)
        if self._hasher.size == entry.size:
            self._finish_file(entry)

    def finish(self) -> None:
        """Raises InvalidUpload when the upload ended before its last byte."""
        if self._done < len(self._files):
            entry = self._files[self._done]
            raise InvalidUpload(
                f"the upload ended at byte {self._hasher.size} of {entry.size} of {entry.path}",
                field="chunk",
            )

    def _finish_file(self, entry: FileEntry) -> None:
        check_received(entry, self._hasher)
        self._hasher = Hasher()
        self._done += 1


def fault_of_files(files: Sequence[FileEntry]) -> str | None:
    """Says why these are not exactly the files of an adapter within their limits, if so."""
    names = [file.path for file in files]
    attached = set(names) - _LIMITS.keys()
    if len(names) != len(set(names)) or not set(names) >= _NEEDED or not all(map(is_attachment, attached)):
        shown = ", ".join(ascii(name[:80]) for name in names[:4]) or "nothing"
        return f"{shown}; {_WHAT}"
    if len(attached) > MOST_ATTACHMENTS:
        return f"{len(attached)} files beside the adapter's; at most {MOST_ATTACHMENTS} are attached"
    return next(filter(None, map(fault_of_file, files)), None)


def fault_of_file(file: FileEntry) -> str | None:
    """Says why this is no file of an adapter within its limits, if so."""
    most = _LIMITS.get(file.path, ATTACHMENT_BYTES.most)
    if file.path not in _LIMITS and not is_attachment(file.path):
        return f"{file.path[:80]!a}; {_WHAT}"
    if not 0 < file.size <= most:
        return f"{file.path} with {file.size} bytes; 1 to {most} are accepted"
    return None


def _check_announcement(files: Sequence[FileEntry]) -> None:
    fault = fault_of_files(files)
    if fault is not None:
        raise InvalidUpload(f"the header announces {fault}", field="header.files")
