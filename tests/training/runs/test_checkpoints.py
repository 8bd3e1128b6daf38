"""Checkpoints count only once they are whole, and only as they were written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from parfocal.training import RunDamaged
from parfocal.training.runs.checkpoints import Checkpoints


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path)


def write(checkpoints: Checkpoints, step: int) -> None:
    checkpoints.path(step).mkdir()
    (checkpoints.path(step) / "weights").write_bytes(b"x")


def test_a_folder_without_a_mark_does_not_count(checkpoints: Checkpoints) -> None:
    write(checkpoints, 5)

    assert checkpoints.latest() is None


def test_the_newest_whole_one_counts_and_carries_its_note(checkpoints: Checkpoints) -> None:
    write(checkpoints, 9)
    checkpoints.complete(9, {"best_step": 4})
    write(checkpoints, 10)
    found = checkpoints.latest()

    assert found is not None
    assert (found.step, found.note, found.folder) == (9, {"best_step": 4}, checkpoints.path(9))


def test_completing_one_removes_the_others(checkpoints: Checkpoints) -> None:
    write(checkpoints, 2)
    checkpoints.complete(2, {})
    write(checkpoints, 10)
    checkpoints.complete(10, {})

    assert [path.name for path in checkpoints.folder.iterdir()] == ["checkpoint-10"]


def test_a_checkpoint_that_is_not_whole_yet_does_not_hide_the_one_before(checkpoints: Checkpoints) -> None:
    write(checkpoints, 3)
    checkpoints.complete(3, {})
    write(checkpoints, 4)
    (checkpoints.path(4) / "complete.json.part").write_text('{"step": 4, "no')
    found = checkpoints.latest()

    assert found is not None
    assert found.step == 3


def flip(folder: Path) -> str:
    (folder / "weights").write_bytes(b"y")
    return "weights is not as it was written"


def shorten(folder: Path) -> str:
    (folder / "weights").write_bytes(b"")
    return "weights is not as it was written"


def swap(folder: Path) -> str:
    one, other = folder / "state" / "optimizer", folder / "state" / "random"
    kept = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(kept)
    return "state/optimizer is not as it was written"


def remove(folder: Path) -> str:
    (folder / "state" / "random").unlink()
    return "state/random is missing"


def add(folder: Path) -> str:
    (folder / "scaler.pt").write_bytes(b"x")
    return "scaler.pt was not written by it"


def change_the_mark(folder: Path) -> str:
    mark = folder / "complete.json"
    mark.write_text(mark.read_text().replace('"best_step": 4', '"best_step": 5'))
    return "complete.json is not as it was written"


def tear_the_mark(folder: Path) -> str:
    (folder / "complete.json").write_text('{"step": 9, "no')
    return "complete.json cannot be read"


def rename(folder: Path) -> str:
    folder.rename(folder.with_name("checkpoint-12"))
    return "complete.json is not as it was written"


@pytest.mark.parametrize("spoil", [flip, shorten, swap, remove, add, change_the_mark, tear_the_mark, rename])
def test_a_checkpoint_that_changed_is_refused_by_name_with_advice(
    checkpoints: Checkpoints, spoil: Callable[[Path], str]
) -> None:
    write(checkpoints, 9)
    (checkpoints.path(9) / "state").mkdir()
    (checkpoints.path(9) / "state" / "optimizer").write_bytes(b"o")
    (checkpoints.path(9) / "state" / "random").write_bytes(b"r")
    checkpoints.complete(9, {"best_step": 4})
    assert checkpoints.latest() is not None
    said = spoil(checkpoints.path(9))

    with pytest.raises(RunDamaged, match=f"checkpoint-(9|12) is damaged: {said}; put the file back .*remove"):
        checkpoints.latest()


def test_what_a_desktop_leaves_in_a_folder_is_no_damage(checkpoints: Checkpoints) -> None:
    write(checkpoints, 9)
    checkpoints.complete(9, {})
    (checkpoints.path(9) / ".DS_Store").write_bytes(b"x")

    assert checkpoints.latest() is not None


def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    mine, other = Checkpoints(tmp_path / "mine", "sha256:m"), Checkpoints(tmp_path / "other", "sha256:o")
    other.path(9).mkdir(parents=True)
    (other.path(9) / "weights").write_bytes(b"x")
    other.complete(9, {})
    shutil.copytree(other.folder, mine.folder)

    with pytest.raises(RunDamaged, match="another run wrote it"):
        mine.latest()


def test_clearing_twice_is_no_fault(checkpoints: Checkpoints) -> None:
    write(checkpoints, 3)
    checkpoints.clear()
    checkpoints.clear()

    assert not checkpoints.folder.exists()
