"""Turns what went wrong into one line on stderr and exit code 1. Knows no particular error."""

from types import TracebackType
from typing import Any

import typer
from typer.core import TyperGroup


class OneLineGroup(TyperGroup):
    """A group whose commands end with one line where a person can do something about the failure.

    Those are domain errors (they have `status` and `reason`) and the system's own (OSError). Any other is a
    defect of ours and keeps its traceback.
    """

    def invoke(self, ctx: Any) -> Any:
        """Runs the command inside that scope. (Typer vendors click, whose Context has no public name.)"""
        with _OneLine():
            return super().invoke(ctx)


class _OneLine:
    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        line = None if error is None else explain(error)
        if line is not None:
            typer.echo(f"parfocal: {line}", err=True)
            raise typer.Exit(1) from error


def explain(error: BaseException) -> str | None:
    """Returns one line for a failure that a person can do something about, None for any other.

    >>> explain(FileNotFoundError(2, "No such file or directory", "adapter/"))
    'adapter/: No such file or directory'
    >>> explain(KeyError("x")) is None
    True
    """
    if isinstance(getattr(error, "status", None), str) and isinstance(getattr(error, "reason", None), str):
        return " ".join(str(error).split())
    if isinstance(error, BrokenPipeError) or not isinstance(error, OSError):
        return None
    return f"{error.filename}: {error.strerror}" if error.filename else " ".join(str(error).split())
