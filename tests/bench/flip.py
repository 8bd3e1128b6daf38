"""Moves an alias under load and looks at every answer: `python tests/bench/flip.py [REQUESTS] [CLIENTS]`.

A registry and a server that follows it are processes of their own. Reports one JSON object. Exits with 1 if a
request failed, a client saw an older version after a newer one, or a first token took over twice the p99.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from parfocal.bench.made import write_adapter
from parfocal.bench.workloads import Shape
from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import open_blocking_channel
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1.inference_service_pb2_grpc import InferenceServiceStub

TINY = Shape("tiny", 256, 704, 4, 8, 8, 2048, 2048, tied=False)
ALIAS = "team/flip@prod"
ANYWHERE = ("--grpc-address", "127.0.0.1:0", "--metrics-address", "127.0.0.1:0")


@dataclass
class Seen:
    """What clients saw: of each request its number, client, version, and seconds to the first token."""

    answers: list[tuple[int, int, int, float]] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    flipped: int = 0


@contextmanager
def process(home: Path, said: str, *arguments: str) -> Iterator[str]:
    """Runs `parfocal` with these arguments; gives the address that it says."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(home / "cache")}
    command = [sys.executable, "-m", "parfocal.cli", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as running:
        assert running.stderr is not None
        try:
            found = None
            while found is None:
                line = running.stderr.readline()
                assert line, f"{arguments} ended"
                found = re.search(said, line)
            threading.Thread(target=running.stderr.read, daemon=True).start()
            yield found[1]
        finally:
            running.terminate()
            running.wait(60)


def ask(stub: InferenceServiceStub, number: int, client: int, seen: Seen) -> None:
    """One request, whose first token is timed."""
    prompt = f"Request {number} of client {client}: the picture stays in focus"
    stop = pb.Stop(max_tokens=4, ignore_eos=True)
    begun, first, version = time.monotonic(), 0.0, 0
    try:
        for reply in stub.GenerateStream(pb.GenerateRequest(adapter=ALIAS, prompt=prompt, stop=stop)):
            first = first or time.monotonic() - begun
            version = reply.final.adapter.version or version
        seen.answers.append((number, client, version, first))
    except grpc.RpcError as error:
        seen.errors.append(str(error))


def load(address: str, registry: RemoteRegistry, requests: int, clients: int) -> Seen:
    """Sends `requests` from `clients` at a time, and moves the alias when half of them have been sent."""
    seen, numbers, lock = Seen(), iter(range(requests)), threading.Lock()

    def run(client: int) -> None:
        with open_blocking_channel(address) as channel:
            stub = InferenceServiceStub(channel)
            while True:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    return
                if number == requests // 2:
                    registry.set_alias("team/flip", "prod", 2, expected_version=1)
                    seen.flipped = number
                ask(stub, number, client, seen)

    threads = [threading.Thread(target=run, args=(client,), daemon=True) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return seen


def report(seen: Seen) -> dict[str, object]:
    """What the answers show; `steady` is before the alias moved, its first tenth apart."""
    steady = sorted(
        first for number, _, _, first in seen.answers if seen.flipped // 10 < number < seen.flipped
    )
    p99 = steady[int(0.99 * (len(steady) - 1))]
    longest = max(first for number, _, _, first in seen.answers if number >= seen.flipped)
    backwards, last = 0, dict[int, int]()
    for _, client, version, _ in seen.answers:
        backwards += version < last.get(client, 0)
        last[client] = version
    versions = [version for _, _, version, _ in seen.answers]
    found = {
        "requests": len(seen.answers),
        "errors": len(seen.errors),
        "versions": {str(each): versions.count(each) for each in sorted(set(versions))},
        "backwards": backwards,
        "steady_p99_s": round(p99, 4),
        "longest_after_s": round(longest, 4),
    }
    whole = not seen.errors and not backwards and set(versions) == {1, 2} and longest <= 2 * p99
    return {**found, "holds": whole}


def main(requests: int = 1000, clients: int = 8) -> int:
    """Runs it in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        registry = FolderRegistry(home / "registry")
        publication = Publication(describe_base(locate_base("tiny", weights=False)))
        for seed in (1, 2):
            registry.publish("team/flip", write_adapter(TINY, 8, home / f"adapter-{seed}", seed), publication)
        registry.set_alias("team/flip", "prod", 1)
        serve = ("serve", "--base", "tiny", "--http-address", "", *ANYWHERE)
        place = ("registry", "serve", "--registry", str(home / "registry"), *ANYWHERE)
        with (
            process(home, r"Serving registry \S+ at (\S+)", *place) as there,
            process(home, r"Serving \S+ at (\S+)", *serve, "--registry", f"grpc://{there}") as here,
        ):
            remote = RemoteRegistry(f"grpc://{there}", cache=home / "publisher")
            found = report(load(here, remote, requests, clients))
    print(json.dumps(found))
    return 0 if found["holds"] else 1


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
