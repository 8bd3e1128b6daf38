"""Chaos over a shared registry: `python tests/bench/chaos.py --seconds 120`, with tests/ on PYTHONPATH.

Two registry servers over one PostgreSQL and one bucket, eight writers and eight readers as processes. Every
second one of them is killed and begins anew; PostgreSQL is restarted twice, as by a crash. Then everything
that was acknowledged is looked for, and the exit status tells whether all of it was found.
"""

import argparse
import json
import multiprocessing
import multiprocessing.connection
import multiprocessing.process
import os
import random
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from fakes.registry.bucket_server import KEYS, bucket_server
from fakes.registry.postgres_server import postgres_server
from fakes.registry.publisher import numbered_adapter, small_publication
from fakes.registry.registry_server import serving
from fakes.registry.shared_writer import ALIAS, NAME, points_at, write_once
from parfocal.registry import SharedRegistry, StorageAddress, every_item
from parfocal.registry.errors import NotFound, RegistryError
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import RemoteError

_processes = multiprocessing.get_context("fork")


@dataclass(frozen=True, slots=True)
class Stand:
    """Where everything is: the storage, the ports of its servers, and a folder for what is told."""

    index: str
    blobs: str
    folder: Path
    ports: tuple[int, ...]

    def registry(self, who: str) -> SharedRegistry:
        return SharedRegistry(StorageAddress(self.index, self.blobs), cache=self.folder / who)

    def tell(self, **told: object) -> None:
        """Notes what was acknowledged: one write, which a kill cannot tear."""
        told_in = os.open(self.folder / "told", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(told_in, json.dumps(told).encode() + b"\n")
        os.close(told_in)


def serve(stand: Stand, number: int) -> None:
    with serving(
        stand.registry(f"server-{number}"),
        stand.folder / f"uploads-{number}",
        address=f"127.0.0.1:{stand.ports[number]}",
    ):
        time.sleep(1e6)


def write(stand: Stand, number: int) -> None:
    folder = stand.folder / f"writer-{number}-{os.getpid()}"
    folder.mkdir()
    publication = small_publication(folder)
    count = os.getpid() * 10_000
    while True:
        count += 1
        try:
            registry = _remote(stand, number + count, folder)
            write_once(registry, numbered_adapter(folder, count), publication, stand.tell)
        except (RemoteError, RegistryError):
            time.sleep(0.1)


def read(stand: Stand, number: int) -> None:
    folder = stand.folder / f"reader-{number}-{os.getpid()}"
    count = 0
    while True:
        count += 1
        try:
            registry = _remote(stand, number + count, folder)
            if points_at(registry):
                registry.materialise(registry.resolve(f"{NAME}@{ALIAS}").digest)
                stand.tell(read=1)
        except (RemoteError, RegistryError, NotFound):
            time.sleep(0.1)


def _remote(stand: Stand, number: int, folder: Path) -> RemoteRegistry:
    return RemoteRegistry(
        f"grpc://127.0.0.1:{stand.ports[number % len(stand.ports)]}", cache=folder / "cache"
    )


def storm(stand: Stand, seconds: float, restart: Callable[[], None], seed: int) -> int:
    """Lets everybody work, and kills one a second; returns how many died."""
    draw = random.Random(seed)
    roles = [(serve, n) for n in (0, 1)] + [(write, n) for n in range(8)] + [(read, n) for n in range(8)]
    running = [_begun(role, stand, number) for role, number in roles]
    begun, deaths, restarts = time.monotonic(), 0, 0
    while (passed := time.monotonic() - begun) < seconds:
        time.sleep(1.0)
        victim = draw.randrange(len(running))
        running[victim].kill()
        running[victim].join(60)
        running[victim] = _begun(roles[victim][0], stand, roles[victim][1])
        deaths += 1
        if restarts < 2 and passed > (restarts + 1) * seconds / 3:
            restart()
            restarts += 1
    for process in running:
        process.kill()
        process.join(60)
    return deaths


def _begun(
    role: Callable[[Stand, int], None], stand: Stand, number: int
) -> multiprocessing.process.BaseProcess:
    process = _processes.Process(target=role, args=(stand, number), daemon=True)
    process.start()
    return process


def faults(stand: Stand) -> tuple[dict[str, int], list[str]]:
    """What was acknowledged, in numbers, and what of it is not there."""
    told = [json.loads(line) for line in (stand.folder / "told").read_text().splitlines()]
    registry = stand.registry("judge")
    versions = {v.version: v.digest for v in every_item(lambda token: registry.versions(NAME, 0, token))}
    found = list[str]()
    for each in told:
        if "published" in each and versions.get(each["published"]) != each["digest"]:
            found.append(f"version {each['published']} was acknowledged and is lost")
    if sorted(versions) != list(range(1, len(versions) + 1)):
        found.append("the numbers of versions have gaps")
    moves = registry.alias_history(NAME, ALIAS)[::-1]
    steps = [(move.previous_version, move.version) for move in moves]
    if any(before.version != after.previous_version for before, after in pairwise(moves)):
        found.append("the alias was moved from where it did not point")
    expected = [before for before, _ in steps]
    if len(set(expected)) != len(expected):
        found.append("the alias was moved twice from one expectation")
    acknowledged = {(each["expected"], each["moved"]) for each in told if "moved" in each}
    found += [f"the move {step} was acknowledged and is lost" for step in acknowledged - set(steps)]
    verified = registry.verify()
    found += [f"{bad.problem}: {bad.digest}" for bad in verified.bad] + list(verified.problems)
    numbers = {"versions": len(versions), "moves": len(moves), "reads": sum("read" in each for each in told)}
    return {**numbers, "acknowledged": sum("published" in each for each in told)}, found


def main() -> int:
    """Runs the chaos and tells what came of it as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    os.environ.update(KEYS)
    with tempfile.TemporaryDirectory() as scratch, postgres_server() as postgres:
        told, host = _processes.Pipe()
        bucket = _processes.Process(target=_host, args=(host,), daemon=True)
        bucket.start()
        stand = Stand(postgres.url("chaos"), told.recv(), Path(scratch), (_free_port(), _free_port()))

        def restart() -> None:
            postgres.stop("immediate")
            postgres.start()

        deaths = storm(stand, asked.seconds, restart, asked.seed)
        numbers, found = faults(stand)
        bucket.kill()
    print(
        json.dumps(
            {"seconds": asked.seconds, "seed": asked.seed, "deaths": deaths, **numbers, "faults": found}
        )
    )
    return 1 if found or not numbers["acknowledged"] else 0


def _host(told: "multiprocessing.connection.Connection") -> None:
    with bucket_server() as server:
        told.send(server.new_bucket())
        time.sleep(1e6)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
