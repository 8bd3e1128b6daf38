"""Turns failures into one line on stderr and an exit code, 1 unless the error has its own. Knows none.

A server that refuses its settings ends with 2: `serving.py`.
"""

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import typer
from typer.core import TyperGroup

from parfocal.cli.display import say
from parfocal.cli.extras import absent
from parfocal.registry import printable

_VARIABLES = "PARFOCAL_"
_FORBIDDEN = "; give this user the right, or choose another place"
_ADVICE = {
    errno.ENOSPC: "; free some on its disk",
    errno.EDQUOT: "; free some of your quota",
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
    errno.EROFS: "; choose another place",
}
# As shells report a process that SIGPIPE ended: whoever read our output has read enough.
_SIGPIPE = 128 + 13
# The functions of typer and rich that write to standard output.
_WRITERS = ("echo", "_write_buffer")


class OneLineGroup(TyperGroup):
    """A group whose commands fail with one line when the user can do something about the failure.

    Those are domain errors (they have `status` and `reason`) and the system's own (OSError). Any other is our
    bug and keeps its traceback.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuses arguments that are not valid text, before any command sees them."""
        for source, word in _words(args):
            if not _is_text(word):
                raise typer.BadParameter(f"{source} is not valid UTF-8 text: {word!a}")
        with _OneLine():
            return list(super().parse_args(ctx, args))

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
        if isinstance(error, BrokenPipeError):
            _stop_writing()
            raise typer.Exit(_SIGPIPE) from error
        _make_printable(error)
        line = None if error is None else explain(error)
        if line is not None:
            say(f"parfocal: {line}", err=True)
            raise typer.Exit(getattr(error, "exit_code", 1)) from error


def explain(error: BaseException) -> str | None:
    """One line for a failure that the user can do something about, None for any other.

    >>> explain(FileNotFoundError(2, "No such file or directory", "adapter/"))
    'adapter/: No such file or directory'
    >>> explain(KeyError("x")) is None
    True
    """
    if isinstance(getattr(error, "status", None), str) and isinstance(getattr(error, "reason", None), str):
        return " ".join(str(error).split())
    if isinstance(error, ImportError) and (missing := absent(error)) is not None:
        library, extra = missing
        return f"this needs {library}, which is not installed; pip install 'parfocal[{extra}]'"
    if isinstance(error, UnicodeDecodeError):
        return f"the input is not {error.encoding} text: {error.reason} at byte {error.start}"
    if isinstance(error, MemoryError):
        return "not enough memory; ask for less at once"
    if isinstance(error, BrokenPipeError) or not isinstance(error, OSError):
        return None
    if not error.strerror:
        return " ".join(str(error).split())
    # Of two files, such as a copy's, the second is the one that is written.
    place = error.filename2 or error.filename or _where(error)
    return f"{place}: {error.strerror}{_ADVICE.get(error.errno or 0, '')}"


def _stop_writing() -> None:
    """Puts the null device behind standard output, so that Python's last flush of it does not fail again."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _make_printable(error: Any) -> None:
    """Writes out what a terminal would obey in a usage error, which repeats what was typed."""
    if callable(getattr(error, "format_message", None)):
        error.message = printable(error.message)


def _where(error: OSError) -> str:
    """Names what a person redirected: streams fail without a name, our files have one."""
    frames = traceback.extract_tb(error.__traceback__)
    return "standard output" if frames and frames[-1].name in _WRITERS else "the system refuses"


def _words(args: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yields everything that the user gave this command, with its source."""
    yield from ((f"argument {number}", word) for number, word in enumerate(args, 1))
    yield from ((name, value) for name, value in os.environ.items() if name.startswith(_VARIABLES))


def _is_text(word: str) -> bool:
    """Whether it has no undecodable bytes and no NUL."""
    return "\0" not in word and not any("\ud800" <= character <= "\udfff" for character in word)
