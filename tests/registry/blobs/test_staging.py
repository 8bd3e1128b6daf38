"""Work folders: gone with their work, swept when their process is gone, never under one that lives."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from parfocal.registry.disk import Staging

HOLDS_A_FOLDER = """
import sys, time
from pathlib import Path
from parfocal.registry.disk import Staging
with Staging(Path(sys.argv[1])).work_folder() as folder:
    (folder / "half").write_text("x")
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_work_folder_is_removed_with_its_work(tmp_path: Path) -> None:
    with Staging(tmp_path).work_folder() as folder:
        (folder / "nested").mkdir()
        (folder / "nested" / "file").write_text("x")
    assert list(tmp_path.iterdir()) == []


def test_a_work_folder_is_removed_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), Staging(tmp_path).work_folder() as folder:
        (folder / "file").write_text("x")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_living_owner_keeps_its_folder_and_a_dead_one_does_not(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", HOLDS_A_FOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "held\n"
        assert Staging(tmp_path).sweep() == 0
        assert len(list(tmp_path.glob("*/half"))) == 1
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    assert Staging(tmp_path).sweep() == 1
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_this_process_is_not_swept(tmp_path: Path) -> None:
    staging = Staging(tmp_path)
    with staging.work_folder() as folder:
        assert staging.sweep() == 0
        assert folder.is_dir()


def test_sweeping_what_does_not_exist_writes_nothing(tmp_path: Path) -> None:
    assert Staging(tmp_path / "none").sweep() == 0
    assert not (tmp_path / "none").exists()
