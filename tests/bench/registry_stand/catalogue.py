"""Lists and look-ups in a registry of ten thousand adapters of three versions, through its service."""

import random
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from bench.registry_stand.processes import registry_served, told
from bench.registry_stand.report import Bar, Report, quantile
from fakes.registry.postgres_server import postgres_server
from fakes.registry.publisher import numbered_adapter, small_publication
from parfocal.registry import FolderRegistry, Provenance, Registry, open_registry
from parfocal.registry.blobs import FolderBlobs
from parfocal.registry.index.postgres import PostgresAddress, PostgresIndex
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.values import Event, EventKind, digest_of
from parfocal.rpc import open_blocking_channel
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub

VERSIONS, _PROMOTED = 3, 2
_PAGE, _LARGE_PAGE = 100, 1000
# In the order in which one refers to the other.
_TABLES = ("adapters", "versions", "aliases", "events", "facts", "version_tags", "version_metrics")
BLANK = f"sha256:{0:064}"
_BEGUN = datetime(2026, 1, 1, tzinfo=UTC)
_MOST_PAGE_MS, _MOST_RESOLVE_MS = 50.0, 5.0
# Milliseconds: the median, and what one in a hundred takes.
Times = dict[str, float]
_RESOLVED = {
    "an alias": "resolve_alias_ms",
    "a number": "resolve_number_ms",
    "a name": "resolve_name_ms",
    "a digest": "resolve_digest_ms",
}


@dataclass(frozen=True, slots=True)
class Filled:
    """A registry that is full: where it is, and the digests of its versions by name and number."""

    location: str
    digests: dict[tuple[str, int], str]

    def references(self, kind: str, count: int) -> list[str]:
        """That many references to versions at random."""
        draw = random.Random(kind)
        chosen = draw.choices(sorted(self.digests), k=count)
        forms: dict[str, Callable[[str, int], str]] = {
            "an alias": lambda name, _: f"{name}@prod",
            "a number": lambda name, version: f"{name}@{version}",
            "a name": lambda name, _: name,
            "a digest": lambda name, version: f"{name}@{self.digests[name, version]}",
        }
        return [forms[kind](name, version) for name, version in chosen]


def catalogue(kind: str, adapters: int, calls: int) -> Report:
    """Fills a registry in SQLite or PostgreSQL, and asks its service."""
    with (
        tempfile.TemporaryDirectory(prefix="parfocal-catalogue-") as folder,
        _database(kind) as url,
    ):
        home = Path(folder)
        filled = _filled(home, url, adapters)
        limits: dict[str, object] = {**_in_process(open_registry(filled.location), filled, calls)}
        with registry_served(filled.location, home) as address, open_blocking_channel(address) as channel:
            times = _through_the_service(channel, filled, calls)
            limits["bare_rpc_ms"] = _bare_rpc(channel, calls)
        begun = time.monotonic()
        status, _ = told(home, "log", "--verify", "--registry", filled.location)
        verified_s = round(time.monotonic() - begun, 1)
    workload = (
        f"{adapters} adapters of {VERSIONS} versions, each with an alias: {adapters * (VERSIONS + 1)} events "
        f"in {kind}, behind parfocal registry serve on the loopback; one client, {calls} look-ups of each "
        f"kind and {calls} lists of versions at random, and every page of the list of adapters"
    )
    bars = [
        *(
            _bar(f"{what} takes under {_MOST_PAGE_MS:g} ms", times[key], _MOST_PAGE_MS)
            for what, key in (
                (f"a page of {_PAGE} adapters", "adapters_page_ms"),
                ("a list of versions", "versions_page_ms"),
            )
        ),
        *(
            _bar(f"to resolve {what} takes under {_MOST_RESOLVE_MS:g} ms", times[key], _MOST_RESOLVE_MS)
            for what, key in _RESOLVED.items()
        ),
        Bar("parfocal log --verify finds all as it was written", f"exit status {status}", status == 0),
    ]
    figures = {**times, "log_verify_s": verified_s}
    return Report(f"{adapters} adapters in {kind}", workload, figures, limits, bars)


def _bar(promise: str, found: Times, most: float) -> Bar:
    return Bar(promise, f"median {found['p50']} ms, p99 {found['p99']} ms", found["p50"] < most)


@contextmanager
def _database(kind: str) -> Iterator[str]:
    """Gives the URL of an index's database; empty for the file in the registry's own folder."""
    if kind == "SQLite":
        yield ""
        return
    with postgres_server() as server:
        yield server.url("catalogue")


def _filled(home: Path, url: str, adapters: int) -> Filled:
    """Writes the events of so many publications, and lets the registry follow from them.

    All versions have the same files, which are published once; each has a manifest of its own.
    """
    folder, blank = home / "registry", published_once(home)
    events, manifests, digests = list[Event](), dict[str, bytes](), dict[tuple[str, int], str]()
    for number in range(adapters):
        name = f"team-{number % 40:02}/adapter-{number:05}"
        for version in range(1, VERSIONS + 1):
            data = blank.replace(BLANK.encode(), digest_of(f"{name} {version}".encode()).encode())
            digests[name, version] = digest_of(data)
            manifests[digests[name, version]] = data
            events.append(_event(len(events) + 1, EventKind.VERSION_PUBLISHED, name, version, digests))
        alias = _event(len(events) + 1, EventKind.ALIAS_SET, name, _PROMOTED, digests)
        events.append(replace(alias, alias="prod"))
    folder.mkdir()
    index = SqliteIndex((home if url else folder) / "index.sqlite", lambda: None)
    index.restore(events, manifests)
    index.close()
    if url:
        _taken_over(home / "index.sqlite", url)
    shutil.copytree(home / "blank" / "blobs", folder / "blobs")
    blobs = FolderBlobs(folder)
    for digest, data in manifests.items():
        path = blobs.path(digest)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return Filled(f"{url}&blobs={folder}" if url else str(folder), digests)


def published_once(home: Path) -> bytes:
    """A manifest, trained on data whose digest is blank: what stands there instead is as long."""
    publication = replace(small_publication(home), provenance=Provenance(BLANK))
    return (
        FolderRegistry(home / "blank").publish("blank", numbered_adapter(home, 0), publication).manifest_bytes
    )


def _taken_over(path: Path, url: str) -> None:
    """Copies an index's tables into PostgreSQL: statement by statement this many events take minutes."""
    PostgresIndex(PostgresAddress.parse(url), lambda: None).close()
    address = PostgresAddress.parse(url)
    with (
        closing(sqlite3.connect(path)) as old,
        psycopg.connect(address.url, options=f"-c search_path={address.schema}") as new,
    ):
        for table in _TABLES:
            rows = old.execute(f"SELECT * FROM {table}")
            columns = ", ".join(column for column, *_ in rows.description)
            with new.cursor().copy(f"COPY {table} ({columns}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row(row)
        new.execute("ANALYZE")  # as the server does by itself, a minute later


def _event(
    sequence: int, kind: EventKind, name: str, version: int, digests: dict[tuple[str, int], str]
) -> Event:
    happened_at = _BEGUN + timedelta(seconds=sequence)
    return Event(sequence, kind, name, happened_at, version, digests[name, version])


def _in_process(registry: Registry, filled: Filled, calls: int) -> dict[str, Times]:
    """What the same takes without a service: the database, and the reading of its rows."""
    references = filled.references("an alias", calls)
    return {
        "resolve_alias_in_process_ms": _times([partial(registry.resolve, each) for each in references]),
        "adapters_page_in_process_ms": _times([partial(registry.adapters, _PAGE)] * 20),
    }


def _through_the_service(channel: grpc.Channel, filled: Filled, calls: int) -> dict[str, Times]:
    stub = RegistryServiceStub(channel)
    found = {"adapters_page_ms": _pages(stub, _PAGE), "adapters_page_of_1000_ms": _pages(stub, _LARGE_PAGE)}
    names = [each.partition("@")[0] for each in filled.references("a name", calls)]
    found["versions_page_ms"] = _times(
        [partial(stub.ListVersions, pb.ListVersionsRequest(name=name)) for name in names]
    )
    for kind, key in _RESOLVED.items():
        asked = [pb.ResolveAdapterRequest(reference=each) for each in filled.references(kind, calls)]
        found[key] = _times([partial(stub.ResolveAdapter, each) for each in asked])
    return found


def _pages(stub: RegistryServiceStub, size: int) -> Times:
    """Times every page of the list of adapters, after the first, with which a service warms up."""
    stub.ListAdapters(pb.ListAdaptersRequest(page_size=size))
    seconds, token = list[float](), ""
    while True:
        begun = time.perf_counter()
        page = stub.ListAdapters(pb.ListAdaptersRequest(page_size=size, page_token=token))
        seconds.append(time.perf_counter() - begun)
        token = page.next_page_token
        if not token:
            return _summed_up(seconds)


def _bare_rpc(channel: grpc.Channel, calls: int) -> Times:
    """An rpc of the same server that does nothing."""
    check = health_pb2_grpc.HealthStub(channel).Check
    return _times([partial(check, health_pb2.HealthCheckRequest())] * calls)


def _times(calls: Sequence[Callable[[], Any]]) -> Times:
    seconds = list[float]()
    for call in calls:
        begun = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - begun)
    return _summed_up(seconds)


def _summed_up(seconds: Sequence[float]) -> Times:
    return {
        "p50": round(quantile(seconds, 0.5) * 1e3, 2),
        "p99": round(quantile(seconds, 0.99) * 1e3, 2),
        "longest": round(max(seconds) * 1e3, 2),
    }
