"""What the Hub says of a repository's files, held against files of this machine. Asks nobody."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from parfocal.registry.values import PREFIX, chunks_of, digest_of_file

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

GIT = "git:"


@dataclass(frozen=True, slots=True)
class ListedFile:
    """A file's digest on the Hub: its sha256 where it is kept as a large one, else git's id of it."""

    digest: str

    def found_in(self, path: Path) -> str:
        """The digest that a file has, of the same kind; raises OSError."""
        return GIT + _git_oid(path) if self.digest.startswith(GIT) else digest_of_file(path)


def listed_files(info: "ModelInfo") -> Mapping[str, ListedFile | None]:
    """The files of a repository by name; None for those whose digest the Hub does not give."""
    return {each.rfilename: _listed(each.lfs, each.blob_id) for each in info.siblings or ()}


def _listed(lfs: object, git_oid: str | None) -> ListedFile | None:
    sha256 = getattr(lfs, "sha256", None)
    if isinstance(sha256, str):
        return ListedFile(PREFIX + sha256)
    return ListedFile(GIT + git_oid) if git_oid else None


def _git_oid(path: Path) -> str:
    """The id that git gives to a file."""
    hasher = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        for chunk in chunks_of(file):
            hasher.update(chunk)
    return hasher.hexdigest()
