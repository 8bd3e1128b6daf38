"""Chaos over a shared registry, then a search for everything that was acknowledged."""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from bench.registry_stand.judge import judged
from bench.registry_stand.report import Bar, Report
from bench.registry_stand.roles import Stand, free_port, publish_the_first
from bench.registry_stand.storm import Chaos, storm
from fakes.registry.bucket_server import KEYS, bucket_server
from fakes.registry.postgres_server import postgres_server

_processes = multiprocessing.get_context("fork")
# The same without a death, for comparison, takes this share of the time.
_CALM = 1 / 8


def chaos(seconds: float, writers: int, readers: int, seed: int) -> Report:
    """Runs the bench: a calm, the storm, and the judgement."""
    os.environ.update(KEYS)
    with (
        tempfile.TemporaryDirectory(prefix="parfocal-chaos-") as scratch,
        postgres_server() as postgres,
        _bucket() as bucket,
    ):
        stand = Stand(postgres.url("chaos"), bucket, Path(scratch), (free_port(), free_port()))
        publish_the_first(stand)

        def restart() -> float:
            begun = time.monotonic()
            postgres.stop("immediate")
            postgres.start()
            return time.monotonic() - begun

        came = storm(stand, Chaos(seconds, seconds * _CALM, writers, readers, seed), restart)
        found = judged(stand, came)
    workload = (
        "2 parfocal registry serve on one PostgreSQL and one bucket (moto's server over HTTP), "
        f"{writers} writers, each of which publishes and moves one alias to what it published, and {readers} "
        "readers, each of which resolves that alias and fetches, all as processes; after "
        f"{seconds * _CALM:.0f} s of calm one of them is killed (SIGKILL) each second and begun anew, each "
        f"fifth a server, for {seconds:.0f} s; PostgreSQL is stopped at once (immediate) and started again "
        f"twice; seed {seed}"
    )
    bars = [Bar(promise, _told(faults), not faults) for promise, faults in found.faults.items()]
    return Report("Chaos", workload, found.figures, found.limits, bars)


def _told(faults: list[str]) -> str:
    return f"{len(faults)}: {'; '.join(faults[:3])}" if faults else "none"


@contextmanager
def _bucket() -> Iterator[str]:
    """Serves an empty bucket from a process of its own, which nobody kills before the end; gives its URL."""
    told, host = _processes.Pipe()
    process = _processes.Process(target=_host, args=(host,), daemon=True)
    process.start()
    try:
        yield str(told.recv())
    finally:
        process.kill()
        process.join(60)


def _host(told: Connection) -> None:
    with bucket_server() as server:
        told.send(server.new_bucket())
        time.sleep(1e6)
