"""Runs streams with and without a hostile client beside them, in turn, and reports what it cost whom."""

import argparse
import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import grpc

from bench.hostile.attacks import ATTACKS, BROKE_OFF, honest
from bench.hostile.streams import quantile, token_gaps
from bench.hostile.watch import Watch, watch
from parfocal.bench.servers import server_process
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import open_blocking_channel

HONEST = ("honest/one", "honest/two")
_MIB = 1 << 20
_MOST_RATIO = 1.5
_MOST_GROWTH = 1.1


@dataclass(frozen=True, slots=True)
class Place:
    """Where the server answers, and its process."""

    address: str
    metrics_url: str
    pid: int

    @property
    def metrics_port(self) -> int:
        """The port of its pages."""
        return int(self.metrics_url.rpartition(":")[2].partition("/")[0])


@dataclass
class Outcome:
    """Seconds between tokens, with and without; what came of the attacks, and their cost."""

    quiet: list[float] = field(default_factory=list)
    hostile: list[float] = field(default_factory=list)
    rounds: list[dict[str, float | str]] = field(default_factory=list)
    hostile_s: float = 0.0
    hostile_cpu_s: float = 0.0
    ends: Counter[str] = field(default_factory=Counter)


def main() -> int:
    """Prints figures for people, and writes all of them as JSON if asked. Returns 1 where a bar is missed."""
    given = _arguments()
    with tempfile.TemporaryDirectory(prefix="parfocal-hostile-") as folder:
        report = _measured(given, Path(folder))
    if given.json is not None:
        given.json.write_text(json.dumps(report, indent=1), "utf-8")
    shown = {name: value for name, value in report.items() if name != "samples"}
    print(json.dumps(shown, indent=1))
    print("passed" if report["passed"] else f"FAILED: {'; '.join(report['missed'])}", file=sys.stderr)
    return 0 if report["passed"] else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=300.0, help="how long to attack, in all rounds together"
    )
    parser.add_argument("--rounds", type=int, default=5, help="rounds with and rounds without, in turn")
    parser.add_argument("--streams", type=int, default=16)
    names = [each.__name__ for each in ATTACKS]
    parser.add_argument("--attacks", nargs="+", choices=names, default=names, help="only these")
    parser.add_argument("--log", type=Path, help="where the server's log goes; default: nowhere that stays")
    parser.add_argument("--json", type=Path, help="also write the figures, and the samples, to this file")
    return parser.parse_args()


def _measured(given: argparse.Namespace, folder: Path) -> dict[str, Any]:
    settings = {
        "base": "tiny",
        "registry": str(folder / "registry"),
        "grpc_address": "127.0.0.1:0",
        "http_address": "127.0.0.1:0",
        "metrics_address": "127.0.0.1:0",
        "log_level": "warning",
    }
    with server_process(settings, given.log or folder / "server.log") as server:
        place = Place(server.address, server.metrics_url or "", server.pid)
        _publish_honest(place.address)
        outcome, seen = Outcome(), Watch()
        asyncio.run(_rounds(given, place, outcome, seen))
        unreadable = _unreadable(place.address, folder / "copies")
    return _report(outcome, seen, unreadable)


def _publish_honest(address: str) -> None:
    with open_blocking_channel(address) as channel:
        publish = channel.stream_unary("/parfocal.v1.RegistryService/PublishVersion", None, None)
        for body in honest(HONEST):
            publish(body.messages())


async def _rounds(given: argparse.Namespace, place: Place, outcome: Outcome, seen: Watch) -> None:
    seconds = given.seconds / given.rounds
    watching = asyncio.create_task(watch(place.address, place.metrics_url, place.pid, seen))
    await token_gaps(place.address, given.streams, min(seconds, 5.0))  # warms up
    for number in range(given.rounds):
        quiet = await token_gaps(place.address, given.streams, seconds)
        async with _hostile_client(place, given.attacks, outcome):
            hostile = await token_gaps(place.address, given.streams, seconds)
        outcome.hostile_s += seconds
        outcome.quiet += quiet
        outcome.hostile += hostile
        outcome.rounds.append(_round(number, quiet, hostile))
        print(outcome.rounds[-1], file=sys.stderr, flush=True)
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


def _round(number: int, quiet: list[float], hostile: list[float]) -> dict[str, float | str]:
    return {
        "round": number + 1,
        **{
            f"{name}_{word}_ms": round(quantile(gaps, share) * 1e3, 2)
            for name, gaps in (("quiet", quiet), ("hostile", hostile))
            for word, share in (("p50", 0.5), ("p99", 0.99))
        },
    }


@contextlib.asynccontextmanager
async def _hostile_client(place: Place, attacks: Sequence[str], outcome: Outcome) -> AsyncIterator[None]:
    where = [place.address, str(place.metrics_port)]
    command = [sys.executable, "-m", "bench.hostile.client", *where, *attacks]
    client = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
    try:
        yield
    finally:
        client.terminate()
        said, _ = await client.communicate()
    told = json.loads(said)
    outcome.hostile_cpu_s += told["cpu_s"]
    outcome.ends.update(told["ends"])


def _unreadable(address: str, copies: Path) -> list[str]:
    """Every version that is listed and cannot be read, byte by byte."""
    registry, bad, token = RemoteRegistry(f"grpc://{address}", cache=copies), [], ""
    while True:
        page = registry.adapters(page_token=token)
        for adapter in page.items:
            bad += _unreadable_versions(registry, adapter.name)
        token = page.next_page_token
        if not token:
            return bad


def _unreadable_versions(registry: RemoteRegistry, name: str) -> list[str]:
    bad, token = [], ""
    while True:
        page = registry.versions(name, page_token=token)
        for version in page.items:
            try:
                registry.materialise(version.digest)
            except (grpc.RpcError, OSError, ValueError) as error:
                bad.append(f"{version}: {error}")
        token = page.next_page_token
        if not token:
            return bad


def _report(outcome: Outcome, seen: Watch, unreadable: list[str]) -> dict[str, Any]:
    ratio = quantile(outcome.hostile, 0.99) / quantile(outcome.quiet, 0.99)
    third = max(1, len(seen.samples) // 3)
    early = max(sample.rss_bytes for sample in seen.samples[: 2 * third]) / _MIB
    late = max(sample.rss_bytes for sample in seen.samples[-third:]) / _MIB
    bars = {
        f"the streams' p99 is {ratio:.3f} times that without, more than 1.5": ratio <= _MOST_RATIO,
        f"memory grew from {early:.0f} to {late:.0f} MiB": late <= _MOST_GROWTH * early,
        f"{len(seen.refused)} new callers were refused, {len(seen.entered_s)} entered": (
            bool(seen.entered_s) and not seen.refused
        ),
        f"{len(unreadable)} published versions cannot be read": not unreadable,
        "an attack broke off by itself, so that it shows nothing": not any(
            end.startswith(BROKE_OFF) for end in outcome.ends
        ),
    }
    missed = [bar for bar, met in bars.items() if not met]
    return {
        "passed": not missed,
        "missed": missed,
        "p99_ratio": round(ratio, 3),
        **{
            name: value
            for name, value in _round(0, outcome.quiet, outcome.hostile).items()
            if name != "round"
        },
        "rounds": outcome.rounds,
        "rss_mib": {
            "first": round(seen.samples[0].rss_bytes / _MIB),
            "early": round(early),
            "late": round(late),
        },
        "most_threads": max(sample.threads for sample in seen.samples),
        "most_files": max(sample.files for sample in seen.samples),
        "new_callers": {
            "entered": len(seen.entered_s),
            "longest_s": round(max(seen.entered_s, default=0.0), 3),
            "refused": seen.refused[:10],
        },
        "unreadable": unreadable,
        "hostile_cpu_share": round(outcome.hostile_cpu_s / outcome.hostile_s, 3),
        "hostile_ends": dict(sorted(outcome.ends.items())),
        "samples": [asdict(sample) for sample in seen.samples],
    }


if __name__ == "__main__":
    sys.exit(main())
