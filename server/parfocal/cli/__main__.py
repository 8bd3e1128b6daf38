"""Runs the command: `parfocal …` or `python -m parfocal.cli …`."""

from parfocal.cli.app import build_app


def main() -> None:
    """Runs the command line of this process and exits: 0, 1 (a domain error, one line) or 2 (usage)."""
    build_app()()


if __name__ == "__main__":
    main()
