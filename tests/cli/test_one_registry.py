"""Every command that keeps or serves adapters means the same folder when nobody names one."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from parfocal.server import DEFAULT_REGISTRY

ROOT = Path(__file__).resolve().parents[2]


COMMANDS = ("ls", "push", "pull", "show", "alias", "gate", "rollback", "log", "rm", "gc", "serve", "train")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_means_the_one_folder(run: Callable[..., Result], command: str) -> None:
    shown = "".join(run(command, "--help").stdout.split())

    assert DEFAULT_REGISTRY in shown


def test_the_one_folder_is_where_the_user_keeps_data(tmp_path: Path) -> None:
    ask = [sys.executable, "-c", "from parfocal.server import DEFAULT_REGISTRY; print(DEFAULT_REGISTRY)"]
    meant = {
        home: subprocess.run(
            ask, env={**os.environ, "XDG_DATA_HOME": home}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for home in (str(tmp_path), "", "not/absolute")
    }

    usual = "~/.local/share/parfocal/registry"
    assert meant == {str(tmp_path): f"{tmp_path}/parfocal/registry", "": usual, "not/absolute": usual}


def test_make_names_no_folder_of_its_own() -> None:
    assert "--registry" not in (ROOT / "Makefile").read_text()
