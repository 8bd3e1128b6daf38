"""Runs benches of the registry, each in a process of its own; writes what they found as JSON and a page."""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from bench.registry_stand.report import Report, page_of

BENCHES = ("chaos", "catalogue", "catalogue_postgresql", "publishing", "flip", "events")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prints the page; returns 1 where a bar does not hold, or a bench ends otherwise."""
    given = _parser().parse_args(arguments)
    given.results.mkdir(parents=True, exist_ok=True)
    asked = given.benches or list(BENCHES)
    if given.alone:
        return _run(asked[0], given)
    flags = [word for word in (sys.argv[1:] if arguments is None else arguments) if word not in asked]
    statuses = [
        subprocess.run([sys.executable, "-m", __spec__.name, "--alone", name, *flags], check=False).returncode
        for name in asked
    ]
    files = [given.results / f"{name}.json" for name in BENCHES]
    documents = [json.loads(file.read_text("utf-8")) for file in files if file.exists()]
    page = page_of(documents)
    (given.results / "README.md").write_text(f"# The registry's promises\n\n{page}", "utf-8")
    print(page)
    return max(statuses)


def _run(name: str, given: argparse.Namespace) -> int:
    print(f"{name} begins", file=sys.stderr, flush=True)
    report = _bench(name, given)()
    document = json.dumps(report.document(), indent=1) + "\n"
    (given.results / f"{name}.json").write_text(document, "utf-8")
    for bar in report.bars:
        print(f"  {'holds' if bar.holds else 'FAILS'}: {bar.promise}: {bar.found}", file=sys.stderr)
    return 0 if report.holds else 1


def _bench(name: str, given: argparse.Namespace) -> Callable[[], Report]:
    """The bench, imported only where it runs."""
    if name == "chaos":
        from bench.registry_stand.chaos import chaos

        return lambda: chaos(given.seconds, given.writers, given.readers, given.seed)
    if name == "publishing":
        from bench.registry_stand.publishing import publishing

        return lambda: publishing(given.layers, given.rounds)
    if name == "flip":
        from bench.registry_stand.flip import flip

        return lambda: flip(given.requests, given.clients)
    if name == "events":
        from bench.registry_stand.events import events

        return lambda: events(given.events)
    from bench.registry_stand.catalogue import catalogue

    kind = "PostgreSQL" if name == "catalogue_postgresql" else "SQLite"
    return lambda: catalogue(kind, given.adapters, given.calls)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="registry.sh", description=__doc__)
    parser.add_argument(
        "benches", nargs="*", metavar="BENCH", type=_name, help=f"default: {' '.join(BENCHES)}"
    )
    parser.add_argument("--results", type=Path, required=True, help="the folder for JSON and page")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    chaos = parser.add_argument_group("chaos")
    chaos.add_argument("--seconds", type=float, default=120.0)
    chaos.add_argument("--writers", type=int, default=8)
    chaos.add_argument("--readers", type=int, default=8)
    chaos.add_argument("--seed", type=int, default=0, help="of the draws who dies")
    catalogue = parser.add_argument_group("catalogue, catalogue_postgresql")
    catalogue.add_argument("--adapters", type=int, default=10_000)
    catalogue.add_argument("--calls", type=int, default=1000)
    publishing = parser.add_argument_group("publishing")
    publishing.add_argument("--layers", type=int, default=32, help="of 3.3 MB each")
    publishing.add_argument("--rounds", type=int, default=9)
    flip = parser.add_argument_group("flip")
    flip.add_argument("--requests", type=int, default=1000)
    flip.add_argument("--clients", type=int, default=8)
    events = parser.add_argument_group("events")
    events.add_argument("--events", type=int, default=200_000)
    return parser


def _name(text: str) -> str:
    if text not in BENCHES:
        raise argparse.ArgumentTypeError(f"there is no bench {text!r}; there are {', '.join(BENCHES)}")
    return text


if __name__ == "__main__":
    sys.exit(main())
