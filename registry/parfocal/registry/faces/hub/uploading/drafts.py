"""An upload that is not complete yet: what was announced, what has come, what it waits for. Values only.

The Hub's client announces all files of an upload, then sends them in as many commits as it likes. A version
is made of them when nothing is awaited any more. What was announced also tells whether a file is of this
upload, or of another one by somebody who cannot be told from its uploader. Where two such uploads have met,
a version is made only of files that came together.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from parfocal.registry.faces.hub.errors import UploadsMixed
from parfocal.registry.faces.hub.uploading.kept import NEEDED
from parfocal.registry.values import JsonObject

# A client that has said nothing for so long is not in the middle of an upload.
_QUIET_S = 900.0


@dataclass(frozen=True, slots=True)
class Announced:
    """What was said of a file: its size, and the digest of its beginning."""

    size: int
    sample: str


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that has come."""

    size: int
    sha256: str
    sample: str


@dataclass(frozen=True, slots=True)
class Draft:
    """An upload by `uploader`. `parent` is the commit that must be the newest when it becomes a version.

    It was last `touched` at a moment, in seconds since 1970 as each `now`. It is `contested` if another
    upload by the same uploader was under way: a file may be of either.
    """

    uploader: str
    touched: float = 0.0
    parent: str = ""
    lists: tuple[str, ...] = ()
    announced: Mapping[str, Announced] = field(default_factory=dict)
    files: Mapping[str, Staged] = field(default_factory=dict)
    contested: bool = False

    @property
    def awaited(self) -> list[str]:
        """The files without which it is no version."""
        missing = [path for path in NEEDED if path not in self.files]
        return missing + sorted(path for path in self.announced if path not in {*self.files, *NEEDED})

    @property
    def commit(self) -> str:
        """What it answers as its commit, which is no version's."""
        told = "\n".join(f"{path} {file.sha256}" for path, file in sorted(self.files.items()))
        return hashlib.sha256(f"staged\n{told}".encode()).hexdigest()[:40]

    @property
    def size(self) -> int:
        """How many bytes it has on the disk."""
        return sum({file.sha256: file.size for file in self.files.values()}.values())

    def announcing(self, listed: Mapping[str, Announced], now: float) -> "Draft":
        """The upload once more files are announced: a new one where they contradict what was."""
        told = _digest(listed)
        if told in self.lists:  # the same list again: a lost answer, or the same upload once more
            return replace(self, touched=now)
        unannounced = self.files.keys() - self.announced.keys()
        if unannounced or listed.keys() & self.announced.keys():
            is_contested = bool(self.lists or self.files) and not self._is_quiet(now)
            return Draft(self.uploader, now, lists=(told,), announced=dict(listed), contested=is_contested)
        announced = {**self.announced, **listed}
        return replace(self, touched=now, lists=(*self.lists, told), announced=announced)

    def adding(
        self, files: Mapping[str, Staged], parent: str, now: float, continues: bool = False
    ) -> "Draft":
        """The upload with files that have come; raises UploadsMixed where they may not be of it.

        `continues` says that they were sent by who has seen what came before.
        """
        is_whole = set(NEEDED) <= files.keys()
        unannounced = files.keys() - self.announced.keys()
        if unannounced and self.announced:
            if is_whole or self._is_quiet(now):
                return Draft(self.uploader, now, parent, files=dict(files))
            raise self._mixed(min(unannounced))
        for path, file in files.items():
            if path in self.announced and self.announced[path] != Announced(file.size, file.sample):
                raise self._mixed(path)
        if not (is_whole or continues or self._is_quiet(now)):
            self._check_one(files)
        kept = {**self.files, **files}
        is_contested = self.contested and not self._is_quiet(now)
        return replace(self, touched=now, files=kept, contested=is_contested, parent=parent or self.parent)

    def disputed(self) -> "Draft":
        """The upload once a file has come that is not of it."""
        return replace(self, contested=True)

    def without(self, path: str, now: float) -> "Draft":
        """The upload without a file that had come."""
        files = {name: file for name, file in self.files.items() if name != path}
        announced = {name: file for name, file in self.announced.items() if name != path}
        return replace(self, touched=now, files=files, announced=announced, lists=())

    def to_json(self) -> dict[str, object]:
        """The upload as a JSON object."""
        return {
            "uploader": self.uploader,
            "touched": self.touched,
            "parent": self.parent,
            "contested": self.contested,
            "lists": list(self.lists),
            "announced": {
                path: {"size": it.size, "sample": it.sample} for path, it in self.announced.items()
            },
            "files": {
                path: {"size": it.size, "sha256": it.sha256, "sample": it.sample}
                for path, it in self.files.items()
            },
        }

    @classmethod
    def from_json(cls, fields: JsonObject) -> "Draft":
        """The upload that `fields` hold; raises FieldError."""
        announced, files = fields.object("announced"), fields.object("files")
        told = {path: announced.object(path) for path in fields.mapping("announced")}
        came = {path: files.object(path) for path in fields.mapping("files")}
        return cls(
            fields.text("uploader"),
            fields.number("touched"),
            fields.text("parent"),
            fields.texts("lists"),
            {path: Announced(it.count("size"), it.text("sample")) for path, it in told.items()},
            {
                path: Staged(it.count("size"), it.text("sha256"), it.text("sample"))
                for path, it in came.items()
            },
            fields.boolean("contested"),
        )

    def _is_quiet(self, now: float) -> bool:
        return now - self.touched > _QUIET_S

    def _check_one(self, files: Mapping[str, Staged]) -> None:
        """Raises UploadsMixed where files that come without the others may be of another upload."""
        changed = [path for path, file in files.items() if self.files.get(path, file).sha256 != file.sha256]
        if changed:
            raise self._mixed(min(changed))
        if self.contested:
            raise UploadsMixed(
                f"{min(files)[:100]} may be of either of two uploads that {self.uploader} has under way "
                f"here; upload {' and '.join(NEEDED)} in one commit, as upload_folder does, name the "
                f"parent_commit, take a key of your own, or wait for {_QUIET_S / 60:.0f} minutes"
            )

    def _mixed(self, path: str) -> UploadsMixed:
        return UploadsMixed(
            f"{path[:100]} is not of the upload that {self.uploader} has under way here: another one began "
            "meanwhile, or the file changed; upload all files again in one commit, as upload_folder does, or "
            "with a key of your own"
        )


def _digest(listed: Mapping[str, Announced]) -> str:
    told = "\n".join(f"{path} {file.size} {file.sample}" for path, file in sorted(listed.items()))
    return hashlib.sha256(told.encode()).hexdigest()
