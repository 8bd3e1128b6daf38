"""What commands say of a version that nobody can read, and that they go on beside it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from fakes.registry.planted import SPOILS, plant

Run = Callable[..., Result]


@pytest.fixture
def planted(registry: Path, tmp_path: Path) -> Path:
    """A registry in which `x@2` cannot be read, and `bad` points at it."""
    assert plant(tmp_path, SPOILS["a number below zero"]).path == registry
    return registry


def test_ls_shows_it_among_the_others(run: Run, planted: Path) -> None:
    assert [line.split()[0] for line in run("ls").stdout.splitlines()] == ["ADAPTER", "x", "y"]
    lines = run("ls", "x").stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["VERSION", "3", "2", "1"]
    assert "(its manifest cannot be read)" in lines[2]
    found = json.loads(run("ls", "x", "--json").stdout)["versions"]
    assert [version["manifest"] is None for version in found] == [False, True, False]
    assert "block_size" in found[1]["fault"]
    assert "fault" not in found[0]


def test_show_and_pull_refuse_it_alone(run: Run, planted: Path, tmp_path: Path) -> None:
    for command in (("show", "x@2"), ("pull", "x@bad", tmp_path / "copy")):
        refused = run(*command)
        assert refused.exit_code == 1
        assert "parfocal rm x@2" in refused.stderr
    assert run("show", "x@3").exit_code == 0


def test_log_tells_its_moves(run: Run, planted: Path) -> None:
    assert "bad" in run("log", "x").stdout


@pytest.mark.parametrize("arguments", [["--yes"], []])
def test_rm_deletes_it_after_it_said_what_it_is(run: Run, planted: Path, arguments: list[str]) -> None:
    assert run("alias", "x", "bad", "--delete").exit_code == 0
    done = run("rm", "x@2", *arguments, stdin="y\n")
    assert done.exit_code == 0, done.output
    assert ("cannot be read" in done.output) is (not arguments)
    assert "(its manifest" not in run("ls", "x").stdout


def test_gc_says_what_it_kept_for_it(run: Run, planted: Path) -> None:
    told = run("gc")
    assert told.exit_code == 0
    assert "Kept all that x@2 may need" in told.stdout
    assert json.loads(run("gc", "--json").stdout)["unreadable"] == ["x@2"]


def test_verify_and_backup_name_it(run: Run, planted: Path, tmp_path: Path) -> None:
    found = run("registry", "verify")
    assert found.exit_code == 1
    assert "the manifest of x@2 cannot be read" in found.stdout
    copied = run("registry", "backup", tmp_path / "copy")
    assert copied.exit_code == 0
    assert "copied as it is: x@2" in copied.stdout
    assert json.loads(run("registry", "backup", tmp_path / "again", "--json").stdout)["unreadable"] == ["x@2"]
