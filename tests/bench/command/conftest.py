"""What the tests of `parfocal bench` start from: the command inside this process."""

from collections.abc import Callable

import pytest
from typer.testing import CliRunner, Result

from parfocal.cli.app import build_app


@pytest.fixture(scope="session")
def run() -> Callable[..., Result]:
    """Returns a function that runs `parfocal` with these arguments."""
    app, runner = build_app(), CliRunner()
    return lambda *arguments: runner.invoke(app, [str(argument) for argument in arguments])
