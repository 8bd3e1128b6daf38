"""Repositories that were created and uploads that are not complete, on the disk. Blocks; knows no registry.

What was acknowledged survives a power cut.

repos/NAMESPACE/NAME/created            the repository was created
repos/NAMESPACE/NAME/UPLOADER/draft.json
repos/NAMESPACE/NAME/UPLOADER/SHA256    a file that has come
objects/NAMESPACE/NAME/SHA256           a large file that came before its commit
work/                                   what arrives now
"""

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from parfocal.registry.disk import (
    FolderLock,
    Staging,
    disk_errors,
    make_folder,
    sync_descriptor,
    sync_folder,
)
from parfocal.registry.errors import RegistryBusy
from parfocal.registry.faces.hub.uploading.commit_lines import Part
from parfocal.registry.faces.hub.uploading.drafts import Draft, Staged
from parfocal.registry.values import AdapterName, FieldError, JsonObject, UnreadableJson, read_foreign_json
from parfocal.v1.limits import STAGED_HOURS

_CREATED, _DRAFT = "created", "draft.json"
_HOUR_S = 3600.0
# A repository without a version takes no more than a name.
_CREATED_DAYS = 30.0
# As many processes of one user may serve one registry from this machine.
_HOMES = 16


class UploadStore:
    """Uploads for the registry at `location`, in a folder below `home` that no other process uses meanwhile.

    `clock` tells seconds since 1970, by which uploads that have waited for too long are told. Raises
    RegistryBusy or another StorageError.
    """

    def __init__(self, home: Path, location: str, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self._locks = contextlib.ExitStack()
        told = hashlib.sha256(location.encode()).hexdigest()[:16]
        with disk_errors(home):
            self._home = self._claimed(home, told)
            self._staging = Staging(self._home / "work")
            self._staging.sweep()

    def close(self) -> None:
        """Lets another process have the folder."""
        self._locks.close()

    def work_folder(self) -> AbstractContextManager[Path]:
        """An empty folder on the same disk, removed at the end."""
        return self._staging.work_folder()

    def create(self, name: str) -> None:
        """Notes that a repository was created."""
        with disk_errors(self._home):
            folder = self._repo(name)
            make_folder(folder)
            (folder / _CREATED).touch()
            sync_folder(folder)

    def forget(self, name: str) -> None:
        """Removes all that there is of a repository."""
        with disk_errors(self._home):
            shutil.rmtree(self._repo(name), ignore_errors=True)
            shutil.rmtree(self._objects(name), ignore_errors=True)

    def is_created(self, name: str) -> bool:
        """Whether the repository was created."""
        return (self._repo(name) / _CREATED).exists()

    def drafts(self, name: str) -> list[Draft]:
        """The uploads into a repository that wait for more; those of which nothing has come are left out."""
        with disk_errors(self._home):
            found = (self._read(path) for path in sorted(self._repo(name).glob(f"*/{_DRAFT}")))
            return [draft for draft in found if draft is not None and draft.files]

    def draft(self, name: str, key: str) -> Draft | None:
        """The upload of one uploader, if there is one."""
        with disk_errors(self._home):
            return self._read(self._repo(name) / key / _DRAFT)

    def save(self, name: str, key: str, draft: Draft, parts: Mapping[str, Part]) -> None:
        """Keeps an upload, with the files that have just come; a crash leaves the one before, or this one."""
        with disk_errors(self._home):
            folder = self._repo(name) / key
            make_folder(folder)
            for part in parts.values():
                _sync(part.path)
                part.path.replace(folder / part.sha256)
            temporary = folder / f".{secrets.token_hex(4)}"
            temporary.write_text(json.dumps(draft.to_json()), "utf-8")
            _sync(temporary)
            if parts:  # what it names must be there whenever it is
                sync_folder(folder)
            temporary.replace(folder / _DRAFT)
            sync_folder(folder)
            wanted = {file.sha256 for file in draft.files.values()} | {_DRAFT}
            for path in folder.iterdir():
                if path.name not in wanted:
                    path.unlink(missing_ok=True)

    def drop(self, name: str, key: str) -> None:
        """Removes an upload."""
        with disk_errors(self._home):
            shutil.rmtree(self._repo(name) / key, ignore_errors=True)

    def lay_out(
        self, folder: Path, name: str, key: str, files: Mapping[str, Staged], parts: Mapping[str, Part]
    ) -> Path:
        """Makes `folder`, with the files of an upload under their names; `parts` have just come."""
        with disk_errors(self._home):
            folder.mkdir()
            for path, file in files.items():
                source = parts[path].path if path in parts else self._repo(name) / key / file.sha256
                os.link(source, folder / path)
        return folder

    def object(self, name: str, sha256: str) -> Path:
        """Where a large file lies, or would."""
        return self._objects(name) / sha256

    def keep_object(self, name: str, sha256: str, source: Path) -> None:
        """Keeps a large file until its commit."""
        with disk_errors(self._home):
            target = self.object(name, sha256)
            make_folder(target.parent)
            _sync(source)
            source.replace(target)
            sync_folder(target.parent)

    def drop_object(self, name: str, sha256: str) -> None:
        """Removes a large file."""
        with disk_errors(self._home):
            self.object(name, sha256).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Removes what has waited for too long."""
        with disk_errors(self._home):
            old = self.now() - STAGED_HOURS.most * _HOUR_S
            for path in self._home.glob(f"repos/*/*/*/{_DRAFT}"):
                draft = self._read(path)
                if draft is None or draft.touched < old:
                    shutil.rmtree(path.parent, ignore_errors=True)
            for path in self._home.glob("objects/*/*/*"):
                if path.stat().st_mtime < old:
                    path.unlink(missing_ok=True)
            very_old = self.now() - _CREATED_DAYS * 24 * _HOUR_S
            for path in self._home.glob(f"repos/*/*/{_CREATED}"):
                if path.stat().st_mtime < very_old:
                    path.unlink(missing_ok=True)

    def size(self) -> int:
        """How many bytes wait, in uploads and as large files."""
        with disk_errors(self._home):
            waiting = [*self._home.glob("repos/*/*/*/*"), *self._home.glob("objects/*/*/*")]
            return sum(path.stat().st_size for path in waiting if path.name != _DRAFT)

    def _claimed(self, home: Path, told: str) -> Path:
        for number in range(_HOMES):
            folder = home / (told if not number else f"{told}-{number + 1}")
            folder.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)  # not everybody may read what is not published
            with contextlib.suppress(RegistryBusy):
                self._locks.enter_context(FolderLock(folder / "lock", patience_s=0).exclusive())
                return folder
        raise RegistryBusy(f"{_HOMES} processes answer the Hub's clients from {home} already; end one")

    def _repo(self, name: str) -> Path:
        adapter = AdapterName.parse(name)  # no other text becomes a path
        return self._home / "repos" / adapter.namespace / adapter.name

    def _objects(self, name: str) -> Path:
        adapter = AdapterName.parse(name)
        return self._home / "objects" / adapter.namespace / adapter.name

    def _read(self, path: Path) -> Draft | None:
        """The upload in a file; None where there is none, or what a later version may have written."""
        try:
            return Draft.from_json(JsonObject(read_foreign_json(path.read_bytes())))
        except (FileNotFoundError, FieldError, UnreadableJson):
            return None


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        sync_descriptor(file.fileno())


def key_of(key_id: str, host: str) -> str:
    """What tells one uploader from another: their key, and the machine that they call from."""
    return hashlib.sha256(f"{key_id}\n{host}".encode()).hexdigest()[:16]


def parts_of(files: Mapping[str, Part]) -> dict[str, Staged]:
    """Files that have come, as an upload knows them."""
    return {path: Staged(part.size, part.sha256, part.sample) for path, part in files.items()}
