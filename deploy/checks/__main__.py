"""`deploy/check`: runs every check and tells what it found; exit 1 for a fault or a tool that is missing."""

import argparse
import sys
import urllib.request
from pathlib import Path

from checks import EVERY, Check, Found, MissingTool, read_scrape, unknown_names


def main(words: list[str]) -> int:
    """Runs what the words ask for; returns the exit status."""
    arguments = _arguments(words)
    checks = [check for check in EVERY if not arguments.only or arguments.only in check.name]
    if arguments.metrics:
        checks.append(Check("metrics", lambda: unknown_names(read_scrape(_page(arguments.metrics)))))
    failed = [check.name for check in checks if not _passes(check)]
    if failed:
        print(f"{len(failed)} of {len(checks)} checks failed: {', '.join(failed)}")
    return 1 if failed else 0


def _arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="deploy/check",
        description="Check everything in deploy/ that needs neither Docker nor a cluster.",
    )
    parser.add_argument("--only", metavar="WORD", help="only checks whose name holds the word")
    parser.add_argument(
        "--metrics",
        metavar="URL|FILE",
        help="a running server's /metrics: every metric of rules and dashboards must be there",
    )
    return parser.parse_args(words)


def _page(place: str) -> str:
    if place.startswith(("http://", "https://")):
        with urllib.request.urlopen(place, timeout=10) as reply:
            return str(reply.read().decode())
    return Path(place).read_text("utf-8")


def _passes(check: Check) -> bool:
    found = _found(check)
    print(f"{'FAILED' if found else 'ok':6} {check.name}", flush=True)
    for line in found:
        print(f"       {line}")
    return not found


def _found(check: Check) -> Found:
    try:
        return check.run()
    except MissingTool as missing:
        return [str(missing)]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
