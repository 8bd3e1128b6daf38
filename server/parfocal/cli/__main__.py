"""Runs the command: `parfocal …` or `python -m parfocal.cli …`."""

import os
import sys
import traceback
from io import TextIOWrapper
from types import TracebackType

_INTERRUPTED = 130


def main() -> None:
    """Runs the command line of this process and exits.

    The code is 0, 1 (a domain error, one line), 2 (usage, and settings that a server refuses) or, as shells
    have it, 130 (interrupted).
    """
    try:
        _open_what_is_closed()
        # What gRPC's core writes by itself breaks lines of JSON, and says again what our own lines say.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        # Before Typer is imported, which calls the hook that it finds.
        sys.excepthook = _show_bug
        # Imported here, so that Ctrl-C during the import ends the command without a traceback.
        from parfocal.engine import quick_imports, wait_briefly

        wait_briefly()
        with quick_imports():
            from parfocal.cli.app import build_app
        _print_anything()
        build_app()()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _open_what_is_closed() -> None:
    """Puts the null device where a standard stream was closed (`>&-`).

    Else the next file that is opened, such as a registry's index, would take the stream's number, and what a
    library writes to it.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    sys.stdin = sys.stdin or os.fdopen(0, encoding="utf-8", closefd=False)
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _show_bug(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Prints a traceback; what its message quotes cannot act on the terminal."""
    from parfocal.registry import printable

    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(printable(text, keep="\n\t"))


def _print_anything() -> None:
    """Lets an answer reach a terminal whose encoding lacks some of its characters."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


if __name__ == "__main__":
    main()
