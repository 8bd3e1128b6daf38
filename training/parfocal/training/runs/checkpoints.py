"""Which checkpoints of a run are complete. Knows only files, not what is in them."""

import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from parfocal.registry.values import JSON

_MARK = "complete.json"
_PREFIX = "checkpoint-"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A complete checkpoint: everything up to `step` is in `folder`; `note` was written with its mark."""

    folder: Path
    step: int
    note: dict[str, JSON]


class Checkpoints:
    """The checkpoints in one folder. Only those with a mark count: the trainer writes its files in place."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def latest(self) -> Checkpoint | None:
        """Returns the complete checkpoint with the most steps, or None."""
        whole = [found for path in self.folder.glob(f"{_PREFIX}*") if (found := _read(path)) is not None]
        return max(whole, key=lambda found: found.step, default=None)

    def path(self, step: int) -> Path:
        """Returns where the trainer puts the checkpoint of `step`."""
        return self.folder / f"{_PREFIX}{step}"

    def complete(self, step: int, note: dict[str, JSON]) -> None:
        """Marks the checkpoint of `step` as complete, durably, and removes the older ones."""
        folder = self.path(step)
        for path in (*folder.rglob("*"), folder):
            _sync(path)
        draft = folder / f"{_MARK}.part"
        draft.write_text(json.dumps({"step": step, "note": note}))
        _sync(draft)
        draft.rename(folder / _MARK)
        _sync(folder)
        for older in self.folder.glob(f"{_PREFIX}*"):
            if older != folder:
                shutil.rmtree(older)

    def clear(self) -> None:
        """Removes every checkpoint: the run is over."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _read(folder: Path) -> Checkpoint | None:
    try:
        mark = json.loads((folder / _MARK).read_text())
    except (OSError, ValueError):
        return None
    return Checkpoint(folder, mark["step"], mark["note"])


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
