"""What the demo prints at its end: commands that work as they are printed."""

import shlex
import sys
from pathlib import Path

import pytest
import typer

from parfocal.cli.app import build_app
from parfocal.cli.demonstration.hints import Kept, command_as_typed, hints


@pytest.fixture
def kept(tmp_path: Path) -> Kept:
    """Returns what a demo in a folder with an awkward name leaves, asked with an awkward message."""
    folder = tmp_path / "it's my demo"
    rows = folder / "demo-memo-1.jsonl"
    rows.parent.mkdir()
    rows.touch()
    return Kept(folder, str(folder / "registry"), rows, "demo/memo", "prod", 'say "$HOME", it\'s\nfine')


def test_every_hint_is_a_command_with_the_flags_that_it_has(kept: Kept) -> None:
    group = typer.main.get_command(build_app())
    lines = [shlex.split(line.removesuffix(" &")) for line in hints(kept, "parfocal")]
    ours = [words for words in lines if words[0] == "parfocal"]

    for _, *words in ours:
        context = group.make_context("parfocal", list(words))
        name, command, rest = group.resolve_command(context, list(words))  # type: ignore[attr-defined]  # a group
        assert command.make_context(name, rest, parent=context).params
    assert [words[1] for words in ours] == ["serve", "generate", "show", "rollback", "train"]


def test_hints_name_what_is_there_and_wait_for_what_is_not(kept: Kept) -> None:
    by_name = {words[1]: words for words in map(shlex.split, hints(kept, "parfocal"))}

    assert Path(by_name["train"][by_name["train"].index("--data") + 1]).is_file()
    assert kept.message in by_name["generate"]
    assert "--wait" in by_name["generate"]
    assert shlex.split(hints(kept, "parfocal")[-1]) == ["rm", "-r", str(kept.folder)]


def test_the_command_is_called_by_its_name_only_where_the_shell_finds_the_same(tmp_path: Path) -> None:
    for place in ("venv", "elsewhere"):
        (tmp_path / place).mkdir()
        program = tmp_path / place / "parfocal"
        program.touch()
        program.chmod(0o755)
    called = str(tmp_path / "venv" / "parfocal")

    assert command_as_typed(called, str(tmp_path / "venv")) == "parfocal"
    assert command_as_typed(called, str(tmp_path / "elsewhere")) == called
    assert command_as_typed(called, str(tmp_path)) == called
    assert command_as_typed("/somewhere/__main__.py") == f"{shlex.quote(sys.executable)} -m parfocal.cli"
