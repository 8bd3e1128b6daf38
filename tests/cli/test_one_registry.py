"""Every command that keeps or serves adapters means the same folder when nobody names one."""

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from parfocal.server import DEFAULT_REGISTRY

ROOT = Path(__file__).resolve().parents[2]


COMMANDS = ("ls", "push", "pull", "show", "alias", "rollback", "log", "rm", "gc", "serve", "train")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_means_the_one_folder(run: Callable[..., Result], command: str) -> None:
    shown = "".join(run(command, "--help").stdout.split())

    assert DEFAULT_REGISTRY in shown


def test_make_names_no_folder_of_its_own() -> None:
    assert "--registry" not in (ROOT / "Makefile").read_text()
