"""The files of a version as the Hub lists them. Knows no registry and no route."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.registry.cards import CARD_FILE, card
from parfocal.registry.packing import MANIFEST_FILE, signature_files
from parfocal.registry.values import Manifest, hex_of


@dataclass(frozen=True, slots=True)
class Entry:
    """A file: its name, size, git's id of it, and its sha256 where it is kept under that.

    `content` is what is written here and now, and kept nowhere. The `etag` names the bytes: clients keep
    them under it.
    """

    path: str
    size: int
    oid: str
    sha256: str = ""
    content: bytes | None = None

    @property
    def etag(self) -> str:
        """What clients tell equal files by."""
        return self.sha256 or self.oid

    def line(self) -> dict[str, object]:
        """Its line in a listing."""
        line: dict[str, object] = {"type": "file", "oid": self.oid, "size": self.size, "path": self.path}
        if self.sha256:
            pointer = _pointer(self.sha256, self.size)
            line["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": len(pointer)}
        return line

    def sibling(self, details: bool) -> dict[str, object]:
        """Its line in a repository's description."""
        if not details:
            return {"rfilename": self.path}
        line: dict[str, object] = {"rfilename": self.path, "size": self.size, "blobId": self.oid}
        if self.sha256:
            pointer = _pointer(self.sha256, self.size)
            line["lfs"] = {"sha256": self.sha256, "size": self.size, "pointerSize": len(pointer)}
        return line


def entries_of(manifest: Manifest, signatures: Sequence[bytes] = ()) -> list[Entry]:
    """Every file of a version, by name, with a card, its manifest, and its signatures.

    With them whoever downloads all has the same version.
    """
    kept = [
        Entry(file.path, file.size, git_oid(_pointer(hex_of(file.digest), file.size)), hex_of(file.digest))
        for file in manifest.files
    ]
    written = {CARD_FILE: card(manifest), MANIFEST_FILE: manifest.to_bytes(), **signature_files(signatures)}
    beside = [Entry(name, len(data), git_oid(data), content=data) for name, data in written.items()]
    return sorted([*kept, *beside], key=_path)


def git_oid(content: bytes) -> str:
    """The id that git gives to a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _pointer(sha256: str, size: int) -> bytes:
    """What git keeps in place of a large file."""
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


def _path(entry: Entry) -> str:
    return entry.path
