"""What commands write appears whole or not at all."""

import os
from pathlib import Path

import pytest

from parfocal.cli.outputs import new_file, new_folder


def test_a_folder_is_there_once_its_scope_has_ended(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b"
    with new_folder(target) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
        assert not target.exists()

    assert (target / "deep" / "file").read_text() == "x"
    assert list(target.parent.iterdir()) == [target]


def test_a_scope_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyError), new_folder(tmp_path / "folder") as folder:
        (folder / "file").write_text("x")
        raise KeyError
    with pytest.raises(KeyError), new_file(tmp_path / "file") as file:
        file.write_text("x")
        raise KeyError

    assert list(tmp_path.iterdir()) == []


def test_a_file_that_somebody_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "file"
    with pytest.raises(FileExistsError, match="already") as refusal, new_file(target) as file:
        file.write_text("ours")
        target.write_text("theirs")

    assert refusal.value.filename == str(target)
    assert target.read_text() == "theirs"
    assert list(tmp_path.iterdir()) == [target]


def test_a_folder_that_somebody_made_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    with pytest.raises(FileExistsError, match="already"), new_folder(target) as folder:
        (folder / "file").write_text("ours")
        target.mkdir()

    assert list(target.iterdir()) == []


def test_errors_name_the_place_that_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    target = tmp_path / "file" / "folder"

    with pytest.raises(OSError, match="can be written") as refusal, new_folder(target):
        pass
    assert refusal.value.filename == str(target)


def test_errors_about_other_files_stay_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as refusal, new_file(tmp_path / "file"):
        os.stat(tmp_path / "elsewhere" / "gone")

    assert refusal.value.filename == str(tmp_path / "elsewhere" / "gone")
