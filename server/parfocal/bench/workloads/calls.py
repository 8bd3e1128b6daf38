"""The requests of a round, drawn from a workload. Knows no server and no clock."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.bench.workloads.draws import poisson_arrivals, popular_numbers, uniform_lengths
from parfocal.bench.workloads.workload import Workload


@dataclass(frozen=True, slots=True)
class Call:
    """One request of a round: its prompt's token ids and the adapter it names; "" is the base.

    It arrives `arrives_s` after the round begins.
    """

    prompt_ids: tuple[int, ...]
    adapter: str
    arrives_s: float = 0.0


def calls_of_round(workload: Workload, number: int, base_only: bool) -> list[Call]:
    """The requests of a round; the same workload and number give the same prompts every time.

    A base-only round has other prompts, but their lengths, arrivals and shared beginnings are the same.
    """
    name = f"{workload.seed}/{number}/{base_only}"
    draw, vocabulary = random.Random(name), workload.sizes().vocabulary
    chosen = adapters_of_round(workload, number)
    beginnings = {
        adapter: _tokens(random.Random(f"{name}/{adapter}"), workload.shared_prefix, vocabulary)
        for adapter in set(chosen)
    }
    names = workload.adapter_names()
    return [
        Call(
            beginnings[adapter] + _tokens(draw, length - workload.shared_prefix, vocabulary),
            "" if base_only else names[adapter],
            arrives_s,
        )
        for adapter, length, arrives_s in zip(
            chosen, _lengths(workload, number), _arrivals(workload, number), strict=True
        )
    ]


def adapters_of_round(workload: Workload, number: int) -> list[int]:
    """The number of the adapter that each request of a round names."""
    if workload.zipf is None:
        return [index % workload.adapters for index in range(workload.requests)]
    draw = _draw(workload, number, "popularity")
    return popular_numbers(draw, workload.zipf, workload.adapters, workload.requests)


def ranks_of_batch(workload: Workload) -> tuple[int, ...]:
    """The rank of each distinct adapter among the requests that first fill a batch."""
    return tuple(workload.rank_of(adapter) for adapter in dict.fromkeys(adapters_of_batch(workload)))


def adapters_of_batch(workload: Workload) -> list[int]:
    """The number of the adapter of each request that first fills a batch.

    A request whose adapter finds no slot is passed over.
    """
    taken: list[int] = []
    held: set[int] = set()
    for adapter in adapters_of_round(workload, 0):
        if len(taken) < workload.batch and (adapter in held or len(held) < workload.server_slots):
            taken.append(adapter)
            held.add(adapter)
    return taken


def _lengths(workload: Workload, number: int) -> Sequence[int]:
    draw = _draw(workload, number, "lengths")
    return uniform_lengths(draw, workload.shortest, workload.prompt_tokens, workload.requests)


def _arrivals(workload: Workload, number: int) -> Sequence[float]:
    if workload.rate is None:
        return [0.0] * workload.requests
    return poisson_arrivals(_draw(workload, number, "arrivals"), workload.rate, workload.requests)


def _draw(workload: Workload, number: int, what: str) -> random.Random:
    """Each thing has a draw of its own, so that changing one setting leaves the others' draws alone."""
    return random.Random(f"{workload.seed}/{number}/{what}")


def _tokens(draw: random.Random, count: int, vocabulary: int) -> tuple[int, ...]:
    return tuple(draw.randrange(vocabulary) for _ in range(count))
