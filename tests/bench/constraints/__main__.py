"""Measures structured output: PYTHONPATH=tests python -m bench.constraints valid|cost|emails|libraries."""

import argparse
import statistics
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING

from parfocal.bench.made import cached_base
from parfocal.bench.workloads import SHAPES
from parfocal.registry import locate_base

if TYPE_CHECKING:
    from bench.constraints.cost import Cost
    from bench.constraints.validity import Validity


def main() -> None:
    """Runs the measurement that the command line names and prints what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("valid", "cost", "emails", "libraries"))
    parser.add_argument("--base", default="llama-135m", help="of cost: tiny, or a shape of parfocal bench")
    parser.add_argument("--tokenizer", type=Path, help="of cost, libraries: a tokenizer.json of real words")
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--sampled", action="store_true", help="of cost: at temperature 1 instead of greedy")
    asked = parser.parse_args()
    {"valid": _valid, "cost": _cost, "emails": _emails, "libraries": _libraries}[asked.what](asked)


def _valid(asked: argparse.Namespace) -> None:
    from bench.constraints import validity
    from bench.constraints.samples import OPEN_SCHEMAS, SCHEMAS

    for told, schemas in (("of which every answer ends", SCHEMAS), ("left open", OPEN_SCHEMAS)):
        print(f"{len(schemas)} schemas {told}:")
        _print_valid(validity.measure(schemas))


def _print_valid(found: "Validity") -> None:
    print(f"{sum(found.ends.values())} answers, and {found.free} free ones among them: {dict(found.ends)}")
    print(f"{found.tokens} tokens in {found.seconds:.0f} s; cut: {dict(found.cut)}")
    print(f"{len(found.faults)} were called complete and are not valid")
    print(*found.faults, sep="\n")


def _cost(asked: argparse.Namespace) -> None:
    from bench.constraints import cost

    base = (
        locate_base("tiny", weights=True).folder
        if asked.base == "tiny"
        else cached_base(SHAPES[asked.base], Path.home() / ".cache/parfocal/bench")
    )
    found = cost.measure(
        cost.Setting(base, asked.tokenizer, asked.rows, asked.tokens, asked.rounds, not asked.sampled)
    )
    _print_cost(asked.base, found)


def _emails(asked: argparse.Namespace) -> None:
    from bench.constraints import emails

    shares, cost = emails.measure()
    for share in shares:
        print(f"{share.what}: {share.valid} of {share.mails} valid, {share.right} right in every value")
    _print_cost("tiny with its adapter", cost)


def _print_cost(what: str, found: "Cost") -> None:
    print(f"{what}, {found.rows} rows: a free step takes {found.step_ms:.2f} ms; constraints add")
    for name, of in (("by the clock", attrgetter("wall")), ("of the processor", attrgetter("processor"))):
        shares = found.shares(of)
        print(
            f"  {statistics.median(shares):.1%} {name}; rounds: {', '.join(f'{one:+.1%}' for one in shares)}"
        )


def _libraries(asked: argparse.Namespace) -> None:
    from bench.constraints import libraries

    libraries.compare(asked.tokenizer)


if __name__ == "__main__":
    main()
