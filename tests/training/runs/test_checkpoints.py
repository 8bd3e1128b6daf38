"""Checkpoints count only once they are whole."""

from pathlib import Path

import pytest

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


def test_a_torn_mark_does_not_count(checkpoints: Checkpoints) -> None:
    write(checkpoints, 3)
    (checkpoints.path(3) / "complete.json").write_text('{"step": 3, "no')

    assert checkpoints.latest() is None


def test_clearing_twice_is_no_fault(checkpoints: Checkpoints) -> None:
    write(checkpoints, 3)
    checkpoints.clear()
    checkpoints.clear()

    assert not checkpoints.folder.exists()
