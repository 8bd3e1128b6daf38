"""What the command's tests start from: a small base, adapters for it, and the command inside this process."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from fakes.registry.peft_folders import Adapter, write_adapter, write_base
from parfocal.cli.app import build_app
from parfocal.server.log_lines import JsonLines, TextLines

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def log_given_back() -> Iterator[None]:
    """Undoes what a server that was begun inside this process did to the log."""
    root, ours = logging.getLogger(), logging.getLogger("parfocal")
    levels = root.level, ours.level
    yield
    logging.captureWarnings(False)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])
    for handler in [each for each in root.handlers if isinstance(each.formatter, TextLines | JsonLines)]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def app() -> typer.Typer:
    """The command, which keeps nothing from one call to the next."""
    return build_app()


@pytest.fixture
def run(app: typer.Typer) -> Run:
    """Returns a function that runs `parfocal` with these arguments."""
    runner = CliRunner()
    return lambda *arguments, stdin=None: runner.invoke(app, [str(each) for each in arguments], input=stdin)


@pytest.fixture
def small_base(tmp_path: Path) -> Path:
    """Returns the folder of a base that adapters of `adapter_folder` fit."""
    return write_base(tmp_path / "small-base")


@pytest.fixture
def adapter_folder(tmp_path: Path) -> Callable[[int], Path]:
    """Returns a function that writes an adapter whose content depends on a number."""

    def write(fill: int) -> Path:
        return write_adapter(tmp_path / f"adapter-{fill}", Adapter(fill=fill))

    return write


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Returns the folder that commands take for their registry."""
    folder = tmp_path / "registry"
    monkeypatch.setenv("PARFOCAL_REGISTRY", str(folder))
    return folder


@pytest.fixture
def published(run: Run, small_base: Path, adapter_folder: Callable[[int], Path], registry: Path) -> Path:
    """Publishes two versions of team/invoices, points prod at the first, and returns the registry."""
    for fill in (1, 2):
        pushed = run("push", adapter_folder(fill), "team/invoices", "--base", small_base)
        assert pushed.exit_code == 0, pushed.output
    assert run("alias", "team/invoices", "prod", 1, "--actor", "ann").exit_code == 0
    return registry
