"""Runs the command: `parfocal …` or `python -m parfocal.cli …`."""

import sys
from io import TextIOWrapper

_INTERRUPTED = 130


def main() -> None:
    """Runs the command line of this process and exits.

    The code is 0, 1 (a domain error, one line), 2 (usage) or, as shells have it, 130 (interrupted).
    """
    try:
        # Imported here, so that Ctrl-C during the import ends the command without a traceback.
        from parfocal.cli.app import build_app
        from parfocal.engine import wait_briefly

        wait_briefly()
        _print_anything()
        build_app()()
    except KeyboardInterrupt:
        sys.exit(_INTERRUPTED)


def _print_anything() -> None:
    """Lets an answer reach a terminal whose encoding lacks some of its characters."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


if __name__ == "__main__":
    main()
