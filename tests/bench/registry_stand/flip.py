"""Moves an alias under load and looks at every answer, on a server that follows a registry's own process."""

import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from bench.registry_stand.processes import registry_served, server_of
from bench.registry_stand.report import Bar, Report, quantile
from parfocal.bench.made import write_adapter
from parfocal.bench.workloads import Shape
from parfocal.registry import FolderRegistry, Publication, describe_base, locate_base
from parfocal.registry.remote import RemoteRegistry
from parfocal.rpc import open_blocking_channel
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1.inference_service_pb2_grpc import InferenceServiceStub

_TINY = Shape("tiny", 256, 704, 4, 8, 8, 2048, 2048, tied=False)
_NAME, _ALIAS, _RANK, _TOKENS = "team/flip", "prod", 8, 4
_MOST_RATIO = 2.0
# A server's first requests take longer, and would make its steady p99 look worse than it is.
_WARM_UP = 0.2


@dataclass(frozen=True, slots=True)
class Answer:
    """One request: its number and client, when it was sent, what answered, seconds to the first token."""

    number: int
    client: int
    sent_at: float
    version: int
    first_s: float


@dataclass
class Seen:
    """What clients saw. The alias moved between `moving` and `moved`, which is when that was acknowledged."""

    answers: list[Answer] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    moving: float = 0.0
    moved: float = 0.0


def flip(requests: int, clients: int) -> Report:
    """Runs the bench in a folder of its own."""
    with tempfile.TemporaryDirectory(prefix="parfocal-flip-") as folder:
        home = Path(folder)
        registry = FolderRegistry(home / "registry")
        publication = Publication(describe_base(locate_base("tiny", weights=False)))
        for seed in (1, 2):
            registry.publish(_NAME, write_adapter(_TINY, _RANK, home / f"adapter-{seed}", seed), publication)
        registry.set_alias(_NAME, _ALIAS, 1)
        with (
            registry_served(str(home / "registry"), home) as there,
            server_of(f"grpc://{there}", home) as here,
        ):
            remote = RemoteRegistry(f"grpc://{there}", cache=home / "publisher")
            load(here, remote, clients, clients)  # warms up; moves nothing
            seen = load(here, remote, requests, clients, moves_at=requests // 2)
    return report(seen, requests, clients)


def load(
    address: str, registry: RemoteRegistry, requests: int, clients: int, moves_at: int | None = None
) -> Seen:
    """Sends `requests` from `clients` at a time; whoever sends number `moves_at` moves the alias before."""
    seen, numbers, lock = Seen(), iter(range(requests)), threading.Lock()

    def run(client: int) -> None:
        with open_blocking_channel(address) as channel:
            stub = InferenceServiceStub(channel)
            for number in _drawn(numbers, lock):
                if number == moves_at:
                    seen.moving = time.monotonic()
                    registry.set_alias(_NAME, _ALIAS, 2, expected_version=1)
                    seen.moved = time.monotonic()
                _ask(stub, number, client, seen)

    threads = [threading.Thread(target=run, args=(client,), daemon=True) for client in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(600)
    return seen


def report(seen: Seen, requests: int, clients: int) -> Report:
    """What the answers show."""
    begun = min(answer.sent_at for answer in seen.answers)
    steady_from = begun + _WARM_UP * (seen.moving - begun)
    before = [answer.first_s for answer in seen.answers if steady_from <= answer.sent_at < seen.moving]
    after = [answer.first_s for answer in seen.answers if answer.sent_at >= seen.moving]
    versions = [answer.version for answer in seen.answers]
    counts = {version: versions.count(version) for version in sorted(set(versions))}
    backwards = _backwards(seen.answers)
    steady, longest = quantile(before, 0.99), max(after, default=0.0)
    late = [answer for answer in seen.answers if answer.sent_at > seen.moved and answer.version == 1]
    first_new = min((answer.sent_at for answer in seen.answers if answer.version == 2), default=0.0)
    workload = (
        f"{requests} requests of {_TOKENS} greedy tokens, each with a prompt of its own, from {clients} "
        "clients at once over gRPC, at parfocal serve on tiny, which follows parfocal registry serve; two "
        f"versions of rank {_RANK} on all linears; {_NAME}@{_ALIAS} moves from 1 to 2 when half are sent; "
        f"steady is what comes before, its first {_WARM_UP:.0%} apart"
    )
    figures = {
        "requests": len(seen.answers),
        "versions": {str(version): count for version, count in counts.items()},
        "first_token_before_p50_ms": _ms(quantile(before, 0.5)),
        "first_token_before_p99_ms": _ms(steady),
        "first_token_after_p50_ms": _ms(quantile(after, 0.5)),
        "first_token_after_p99_ms": _ms(quantile(after, 0.99)),
        "first_token_after_longest_ms": _ms(longest),
        "acknowledged_in_ms": _ms(seen.moved - seen.moving),
        "sent_after_it_and_answered_by_the_old_version": len(late),
        "the_old_version_answered_until_ms_after_it": _ms(
            max((answer.sent_at - seen.moved for answer in late), default=0.0)
        ),
        "first_new_answer_sent_ms_after_it": _ms(first_new - seen.moved),
        "cores": os.cpu_count(),
    }
    bars = [
        Bar(
            "no request fails", f"{len(seen.errors)} of {requests} failed {seen.errors[:1]}", not seen.errors
        ),
        Bar("every answer is one of the two versions", str(counts), set(counts) <= {1, 2} and 2 in counts),
        Bar("no client sees the old version after the new one", f"{backwards} did", not backwards),
        Bar(
            "no first token takes over twice the steady p99",
            f"the longest takes {_ms(longest)} ms, {longest / steady:.2f} of {_ms(steady)} ms",
            longest <= _MOST_RATIO * steady,
        ),
    ]
    limits = {"steady_p99_ms": _ms(steady), "twice_that_ms": _ms(_MOST_RATIO * steady)}
    return Report("An alias moves under load", workload, figures, limits, bars)


def _drawn(numbers: Iterator[int], lock: threading.Lock) -> Iterator[int]:
    while True:
        with lock:
            number = next(numbers, None)
        if number is None:
            return
        yield number


def _ask(stub: InferenceServiceStub, number: int, client: int, seen: Seen) -> None:
    prompt = f"Request {number} of client {client}: the picture stays in focus"
    stop = pb.Stop(max_tokens=_TOKENS, ignore_eos=True)
    asked = pb.GenerateRequest(adapter=f"{_NAME}@{_ALIAS}", prompt=prompt, stop=stop)
    sent_at, first, version = time.monotonic(), 0.0, 0
    try:
        for reply in stub.GenerateStream(asked):
            first = first or time.monotonic() - sent_at
            version = reply.final.adapter.version or version
        seen.answers.append(Answer(number, client, sent_at, version, first))
    except grpc.RpcError as error:
        seen.errors.append(str(error))


def _backwards(answers: Sequence[Answer]) -> int:
    """How often a client was answered by an older version than before; each client's answers are in order."""
    count, last = 0, dict[int, int]()
    for answer in answers:
        count += answer.version < last.get(answer.client, 0)
        last[answer.client] = answer.version
    return count


def _ms(seconds: float) -> float:
    return round(seconds * 1e3, 1)
