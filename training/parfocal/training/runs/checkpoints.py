"""Which checkpoints of a run are complete, and that they are as they were written. Knows only files."""

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.values import JSON
from parfocal.training.errors import RunDamaged
from parfocal.training.runs.seals import changed_file, file_digests, is_sealed, sealed

_MARK = "complete.json"
_DRAFT = f"{_MARK}.part"
_PREFIX = "checkpoint-"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint: everything up to `step` is in `folder`; `note` was written with its mark."""

    folder: Path
    step: int
    note: dict[str, JSON]


class Checkpoints:
    """The checkpoints in one folder, of the run whose record has the seal `run`.

    Only those with a mark count, as the trainer writes its files in place; the mark has their digests.
    """

    def __init__(self, folder: Path, run: str = "") -> None:
        self.folder = folder
        self._run = run

    def latest(self) -> Checkpoint | None:
        """Finds the complete checkpoint with the most steps, and proves that it is as it was written.

        Raises:
            RunDamaged: a byte of it changed, a file is missing or new, or another run wrote it.
        """
        marked = [path for path in self.folder.glob(f"{_PREFIX}*") if (path / _MARK).is_file()]
        newest = max(marked, key=_step, default=None)
        return None if newest is None else self._read(newest)

    def path(self, step: int) -> Path:
        """Where the trainer puts the checkpoint of `step`."""
        return self.folder / f"{_PREFIX}{step}"

    def complete(self, step: int, note: Mapping[str, JSON]) -> None:
        """Marks the checkpoint of `step` as complete, durably, and removes the older ones."""
        folder = self.path(step)
        for path in (*folder.rglob("*"), folder):
            _sync(path)
        files: dict[str, JSON] = dict(file_digests(folder, (_MARK, _DRAFT)))
        mark = sealed({"step": step, "note": dict(note), "run": self._run, "files": files})
        draft = folder / _DRAFT
        draft.write_text(json.dumps(mark))
        _sync(draft)
        draft.rename(folder / _MARK)
        _sync(folder)
        for older in self.folder.glob(f"{_PREFIX}*"):
            if older != folder:
                shutil.rmtree(older)

    def clear(self) -> None:
        """Removes every checkpoint: the run is over."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _read(self, folder: Path) -> Checkpoint:
        try:
            mark = json.loads((folder / _MARK).read_bytes())
        except (OSError, ValueError) as error:
            raise _damaged(folder, f"{_MARK} cannot be read") from error
        if not is_sealed(mark) or mark["step"] != _step(folder):
            raise _damaged(folder, f"{_MARK} is not as it was written")
        if mark["run"] != self._run:
            raise _damaged(folder, "another run wrote it")
        changed = changed_file(mark["files"], file_digests(folder, (_MARK, _DRAFT)))
        if changed is not None:
            raise _damaged(folder, changed)
        return Checkpoint(folder, mark["step"], mark["note"])


def _damaged(folder: Path, what: str) -> RunDamaged:
    return RunDamaged(
        f"checkpoint {folder} is damaged: {what}; put the file back from a copy, or remove that folder to go "
        "on from an earlier checkpoint or from the start",
        field="output",
        path=str(folder),
    )


def _step(folder: Path) -> int:
    number = folder.name.removeprefix(_PREFIX)
    return int(number) if number.isdecimal() else -1


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
