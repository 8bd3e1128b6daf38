"""Typer's runner for a command that is built once: to build it takes longer than most calls."""

import sys
from collections.abc import Sequence
from types import TracebackType

import typer
from typer.main import get_command
from typer.testing import CliRunner, Result

_Raised = tuple[type[BaseException], BaseException, TracebackType]


class ReadyRunner(CliRunner):
    """Calls one application, as `CliRunner.invoke` does, again and again."""

    def __init__(self, app: typer.Typer) -> None:
        super().__init__()
        self._command = get_command(app)

    def call(self, words: Sequence[str], stdin: bytes | str | None = None) -> Result:
        """What came of these words."""
        code, raised = 0, None
        with self.isolation(input=stdin) as (out, err, both):
            try:
                self._command.main(args=list(words), prog_name=self._command.name)
            except SystemExit as end:
                code = end.code if isinstance(end.code, int) else int(end.code is not None)
                raised = _raised() if code else None
            except Exception:
                code, raised = 1, _raised()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                written, complained, shown = (stream.getvalue() for stream in (out, err, both))
        return Result(
            self,
            stdout_bytes=written,
            stderr_bytes=complained,
            output_bytes=shown,
            return_value=None,
            exit_code=code,
            exception=raised and raised[1],
            exc_info=raised,
        )


def _raised() -> _Raised:
    kind, error, trace = sys.exc_info()
    assert kind is not None and error is not None and trace is not None
    return kind, error, trace
