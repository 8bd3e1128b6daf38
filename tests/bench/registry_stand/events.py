"""A registry in which very much has happened: what goes on at its end must not take longer for that."""

import json
import os
import pty
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from pathlib import Path
from typing import Any

from bench.registry_stand.catalogue import BLANK, published_once
from bench.registry_stand.processes import COMMAND, environment, registry_served
from bench.registry_stand.report import Bar, Report, quantile
from parfocal.registry import FolderRegistry
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.values import Event, EventKind, digest_of

_NAMES, _CALLS, _BATCH = 100, 200, 10_000
# Half of all moves are of one alias.
_BUSY, _QUIET = "team/busy", "team/quiet"
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_MOST_GROWTH, _MOST_PAGE_MS, _MOST_MEGABYTES = 2.0, 50.0, 300.0
Digests = Mapping[tuple[str, int], str]


@dataclass(frozen=True, slots=True)
class Verified:
    """How `parfocal log --verify` ended, what it took, and what it wrote to a terminal meanwhile."""

    document: Mapping[str, Any]
    seconds: float
    megabytes: float
    showed_progress: bool


def events(number: int) -> Report:
    """Fills a registry with so many events, and does at its end what was done at its start."""
    with tempfile.TemporaryDirectory(prefix="parfocal-events-") as scratch:
        home = Path(scratch)
        manifests, digests = _made(home)
        young = _written(home / "young", _history(digests, 2 * _NAMES), manifests)
        registry = _written(home / "registry", _history(digests, number), manifests)
        at_start, at_end = _appended(young, registry)
        rolled_back = _rolled_back(registry)
        verified = _verified(home, str(registry.path))
        with registry_served(str(registry.path), home) as address:
            remote = RemoteRegistry(f"grpc://{address}", cache=home / "copies")
            pages, resumed = _pages(remote), _resumed(remote, number)
            through = _verified(home, f"grpc://{address}")
        limits = {
            "two_lines_written_and_synced_ms": _synced(home),
            "journal_hashed_s": _hashed(registry.path / "journal.jsonl"),
        }
    figures = {
        "append_at_start_ms": at_start,
        "append_at_end_ms": at_end,
        "rollback_ms": rolled_back,
        "page_of_history_ms": pages,
        "watch_resumed_ms": resumed,
        "log_verify_s": round(verified.seconds, 1),
        "log_verify_megabytes": round(verified.megabytes),
        "log_verify_through_the_service_s": round(through.seconds, 1),
        "log_verify_through_the_service_megabytes": round(through.megabytes),
    }
    workload = (
        f"{number} events in a folder: {_NAMES} adapters of 2 versions, whose alias moves to and fro, half "
        f"of all moves one alias's; {_CALLS} appends, each in turn with one in a registry of {2 * _NAMES} "
        f"events, and {_CALLS // 10} rollbacks in process; {_CALLS} pages and {_CALLS // 10} watches through "
        "parfocal registry serve on the loopback; parfocal log --verify as a process of its own on a terminal"
    )
    growth = at_end["p50"] / at_start["p50"]
    bars = [
        Bar(
            f"an append takes at most {_MOST_GROWTH:g} of one at the start",
            f"{growth:.2f}: {at_end['p50']} ms of {at_start['p50']} ms",
            growth <= _MOST_GROWTH,
        ),
        *(
            Bar(f"{what} takes under {_MOST_PAGE_MS:g} ms", _told(times), times["p50"] < _MOST_PAGE_MS)
            for what, times in (
                ("a rollback", rolled_back),
                ("a page of an alias's history", pages),
                ("a watch that resumes ten events from the end", resumed),
            )
        ),
        *_proved("", verified, number),
        *_proved(" through a service", through, number),
    ]
    return Report(f"{number} events", workload, figures, limits, bars)


def _proved(how: str, found: Verified, number: int) -> Sequence[Bar]:
    said = found.document
    is_proved = said["sound"] and said["events"] >= number
    told = f"{said['events']} events, {len(said['faults'])} faults, {found.seconds:.0f} s"
    return [
        Bar(f"parfocal log --verify{how} finds all as it was written", told, is_proved),
        Bar(
            f"it needs{how} under {_MOST_MEGABYTES:g} MB",
            f"{found.megabytes:.0f} MB at most",
            found.megabytes < _MOST_MEGABYTES,
        ),
        Bar(f"it shows{how} how far it is", str(found.showed_progress).lower(), found.showed_progress),
    ]


def _made(home: Path) -> tuple[Mapping[str, bytes], Digests]:
    """Manifests of two versions of each adapter, by digest: copies of one, each trained on other data."""
    blank = published_once(home)
    names = [_BUSY, _QUIET, *(f"team-{number % 7}/x-{number:03}" for number in range(_NAMES - 2))]
    manifests, digests = dict[str, bytes](), dict[tuple[str, int], str]()
    for name in names:
        for version in (1, 2):
            data = blank.replace(BLANK.encode(), digest_of(f"{name} {version}".encode()).encode())
            digests[name, version] = digest_of(data)
            manifests[digests[name, version]] = data
    return manifests, digests


def _written(path: Path, told: Iterator[Event], manifests: Mapping[str, bytes]) -> FolderRegistry:
    """A registry in which this has happened."""
    path.mkdir()
    index = SqliteIndex(path / "index.sqlite", lambda: None)
    index.restore(told, manifests)
    journal, last = FolderBlobs(path).journal, index.last_sequence()
    while (written := journal.last()) is None or written.sequence < last:
        journal.extend(lambda after: index.events(after, _BATCH))
    index.close()
    return FolderRegistry(path)


def _history(digests: Digests, number: int) -> Iterator[Event]:
    """Both versions of each adapter, then moves."""
    for sequence, (name, version) in enumerate(digests, 1):
        yield _event(sequence, EventKind.VERSION_PUBLISHED, name, version, digests)
    others = cycle(name for name, version in digests if version == 1 and name not in (_BUSY, _QUIET))
    points_at: dict[str, int] = {}
    for sequence in range(len(digests) + 1, number + 1):
        name = _BUSY if sequence % 2 else next(others)
        before = points_at.get(name, 0)
        points_at[name] = 2 if before == 1 else 1
        move = _event(sequence, EventKind.ALIAS_SET, name, points_at[name], digests)
        yield replace(move, alias="prod", previous_version=before, actor="bench")


def _event(sequence: int, kind: EventKind, name: str, version: int, digests: Digests) -> Event:
    happened_at = _BEGUN + timedelta(seconds=sequence)
    return Event(sequence, kind, name, happened_at, version, digests[name, version])


def _appended(young: FolderRegistry, old: FolderRegistry) -> tuple[dict[str, float], dict[str, float]]:
    """Moves of an alias to and fro, in one and the other in turn: the machine is the same for both."""
    seconds: tuple[list[float], list[float]] = [], []
    for number in range(_CALLS):
        for registry, found in zip((young, old), seconds, strict=True):
            begun = time.perf_counter()
            registry.set_alias(_QUIET, "prod", number % 2 + 1)
            found.append(time.perf_counter() - begun)
    return _summed_up(seconds[0]), _summed_up(seconds[1])


def _rolled_back(registry: FolderRegistry) -> dict[str, float]:
    """Rollbacks of the alias that moved most."""
    expected = {alias.alias: alias.version for alias in registry.aliases(_BUSY)}["prod"]

    def roll_back() -> None:
        nonlocal expected
        expected = registry.rollback_alias(_BUSY, "prod", expected).version

    return _times([roll_back] * (_CALLS // 10))


def _pages(remote: RemoteRegistry) -> dict[str, float]:
    """Pages of the history of the alias that moved most, one after the other."""
    token = ""

    def turn() -> None:
        nonlocal token
        token = remote.alias_moves(_BUSY, "prod", page_token=token).next_page_token

    return _times([turn] * _CALLS)


def _resumed(remote: RemoteRegistry, number: int) -> dict[str, float]:
    def resume() -> None:
        watch = remote.watch(after=number - 10)
        for told, _ in zip(count(1), watch, strict=False):
            if told == 10:
                watch.close()
                return

    return _times([resume] * (_CALLS // 10))


def _verified(home: Path, location: str) -> Verified:
    """Runs the command with its errors on a terminal, and its document in a pipe."""
    ours, theirs = pty.openpty()
    shown: list[bytes] = []
    begun = time.monotonic()
    command = [*COMMAND, "log", "--verify", "--json", "--registry", location]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=theirs, env=environment(home)) as process:
        os.close(theirs)
        reader = threading.Thread(target=_read_all, args=(ours, shown), daemon=True)
        reader.start()
        assert process.stdout is not None
        document = json.loads(process.stdout.read())
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.monotonic() - begun
    reader.join(10)
    os.close(ours)
    return Verified(document, seconds, used.ru_maxrss * 1024 / 1e6, b"Reading events" in b"".join(shown))


def _read_all(terminal: int, shown: list[bytes]) -> None:
    while True:
        try:
            shown.append(os.read(terminal, 1 << 16))
        except OSError:  # nobody has the other end any more
            return


def _synced(home: Path) -> dict[str, float]:
    """What an append does at least: a line to each of two files, on the disk."""

    def write() -> None:
        for name in ("one", "other"):
            with (home / name).open("ab") as file:
                file.write(bytes(400))
                file.flush()
                os.fdatasync(file.fileno())

    return _times([write] * _CALLS)


def _hashed(journal: Path) -> float:
    """Seconds to read and hash each line of the journal, and no more."""
    begun = time.perf_counter()
    with journal.open("rb") as file:
        for line in file:
            digest_of(line)
    return round(time.perf_counter() - begun, 2)


def _times(calls: Sequence[Callable[[], object]]) -> dict[str, float]:
    seconds = list[float]()
    for call in calls:
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return _summed_up(seconds)


def _summed_up(seconds: Sequence[float]) -> dict[str, float]:
    return {"p50": round(quantile(seconds, 0.5) * 1e3, 2), "p99": round(quantile(seconds, 0.99) * 1e3, 2)}


def _told(times: Mapping[str, float]) -> str:
    return f"median {times['p50']} ms, p99 {times['p99']} ms"
