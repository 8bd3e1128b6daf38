"""The command as a whole: what it offers, what it imports, how it ends."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import typer
from typer.testing import CliRunner, Result

from parfocal.cli.app import build_app
from parfocal.cli.failures import OneLineGroup

Run = Callable[..., Result]

COMMANDS = ("serve", "generate", "train", "push", "pull", "ls", "show", "alias", "rollback", "rm", "gc")
# What none of them has imported was needed by none, so one process runs them all.
LIGHT = (["--help"], ["ls", "--help"], ["ls"], ["cache", "ls"], ["serve", "--help"], ["train", "--help"])


class Refused(Exception):
    """A domain error."""

    status = "NOT_FOUND"
    reason = "NOTHING_HERE"


def _failing(error: BaseException) -> Result:
    app = typer.Typer(cls=OneLineGroup, pretty_exceptions_enable=False)

    @app.command()
    def fail() -> None:
        raise error

    @app.command()
    def other() -> None:
        """Makes the first one a subcommand."""

    return CliRunner().invoke(app, ["fail"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(run: Run, command: str) -> None:
    result = run(command, "--help")

    assert result.exit_code == 0
    assert f"Example: parfocal {command}" in " ".join(result.stdout.split())


def test_the_help_lists_every_command_in_one_line_each(run: Run) -> None:
    lines = run("--help").stdout.splitlines()

    for command in COMMANDS:
        (line,) = [line for line in lines if line.split()[:1] == [command]]
        assert not line.endswith("...")


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout.startswith("parfocal ")


def test_no_tensor_library_is_imported_before_it_is_needed() -> None:
    script = (
        "import sys\n"
        "from parfocal.cli.__main__ import main\n"
        f"for arguments in {LIGHT!r}:\n"
        "    sys.argv = ['parfocal', *arguments]\n"
        "    try:\n        main()\n    except SystemExit:\n        pass\n"
        "    heavy = {'torch', 'transformers', 'peft', 'bitsandbytes', 'numpy'} & set(sys.modules)\n"
        "    if heavy:\n        sys.exit(f'{arguments} imported {heavy}')\n"
        "sys.exit('nothing heavy after all of them')\n"
    )

    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert result.stderr.splitlines()[-1] == "nothing heavy after all of them"


def test_a_domain_error_is_one_line_however_long_its_message() -> None:
    result = _failing(Refused("there is no\nsuch thing;  look elsewhere"))

    assert (result.exit_code, result.stderr) == (1, "parfocal: there is no such thing; look elsewhere\n")


def test_an_error_of_the_system_is_one_line_with_its_file() -> None:
    result = _failing(PermissionError(13, "Permission denied", "/registry/index"))

    assert result.exit_code == 1
    assert result.stderr.startswith("parfocal: /registry/index: Permission denied; give this user the right")
    assert result.stderr.count("\n") == 1


def test_a_defect_of_ours_keeps_its_traceback() -> None:
    assert isinstance(_failing(ZeroDivisionError("oops")).exception, ZeroDivisionError)


def test_the_module_runs_as_a_program() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "parfocal.cli", "show", "team/absent", "--registry", "/nonexistent/registry"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 1
    assert result.stderr.startswith("parfocal: /nonexistent/registry is not a registry")
    assert len(result.stderr.splitlines()) == 1


def test_the_commands_without_arguments_show_the_help() -> None:
    assert "Usage:" in CliRunner().invoke(build_app(), []).output
