"""The command `python -m tiny_base`."""

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from tiny_base.checkpoint import ResumeError
from tiny_base.loop import Pretraining
from tiny_base.progress import Display
from tiny_base.settings import Settings, smoke


def main(arguments: list[str] | None = None) -> int:
    """Runs pre-training as the arguments say; returns the exit code."""
    options = _parser().parse_args(arguments)
    made = smoke(3, options.seed) if options.smoke else replace(Settings(), seed=options.seed)
    settings = replace(made, steps=options.steps) if options.steps else made
    with Display(settings.last_step) as display:
        try:
            Pretraining(settings, options.out, display, options.resume).run()
        except ResumeError as error:
            print(error, file=sys.stderr)
            return 1
    print(f"The base is in {options.out}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tiny_base",
        description="Makes the small base model `tiny` from synthetic text, from nothing, on a CPU.",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the base and its checkpoints")
    parser.add_argument(
        "--steps",
        type=int,
        help="training steps before polishing (default: the settings of the shipped base)",
    )
    parser.add_argument(
        "--seed", type=int, default=1, help="decides the texts and the first weights (default 1)"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    parser.add_argument("--smoke", action="store_true", help="a toy size that ends within seconds")
    return parser


if __name__ == "__main__":
    sys.exit(main())
