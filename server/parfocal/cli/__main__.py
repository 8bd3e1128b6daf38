"""Runs the command: `parfocal …` or `python -m parfocal.cli …`."""

from parfocal.cli.app import build_app
from parfocal.engine import wait_briefly


def main() -> None:
    """Runs the command line of this process and exits: 0, 1 (a domain error, one line) or 2 (usage)."""
    wait_briefly()
    build_app()()


if __name__ == "__main__":
    main()
