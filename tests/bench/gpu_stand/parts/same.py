"""Each prompt alone and beside all others: is the answer the same, and what does it cost to promise that?"""

import contextlib
import gc
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.gpu_stand.device_base import random_bases
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting
from fakes.engine.folder_source import FolderSource
from oracle.engines import run_all
from parfocal.bench.workloads.calls import calls_of_round
from parfocal.engine import AdapterKey, Completion, Request, Sampling, Stop
from parfocal.engine.engine import Engine
from parfocal.engine.loading import build_engine, load_base

_MOST_TOKENS = 32
_DRAWN = Sampling(temperature=0.8, top_p=0.95)
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class _Way:
    """What one setting of `deterministic` does to the prompts, in seconds and in answers."""

    alone: Mapping[str, Completion]
    beside: Mapping[str, Completion]
    alone_seconds: float
    beside_seconds: float

    def document(self) -> dict[str, object]:
        """Returns how many answers and log-probabilities are the same, and where tokens part."""
        pairs = [(self.alone[name], self.beside[name]) for name in self.alone]
        parted = [_common(mine.token_ids, its.token_ids) for mine, its in pairs]
        return {
            "prompts": len(pairs),
            "same_tokens": sum(mine.token_ids == its.token_ids for mine, its in pairs),
            "same_logprobs": sum(mine.logprobs == its.logprobs for mine, its in pairs),
            "median_tokens_before_parting": statistics.median(parted),
            "largest_logprob_difference": max(map(_difference, pairs)),
            "alone_seconds": self.alone_seconds,
            "beside_seconds": self.beside_seconds,
        }


def measure(setting: Setting, notes: Notes) -> None:
    """Asks all prompts one by one, then all at once, as usual and deterministically."""
    found = {}
    for name, deterministic in (("usual", False), ("deterministic", True)):
        gc.collect()  # an engine and its parts hold each other, and two do not fit
        found[name] = _measured(setting, deterministic, notes, name)
        notes.sum_up(**{name: found[name].document()})
    usual, promised = found["usual"], found["deterministic"]
    notes.sum_up(
        cost_alone=promised.alone_seconds / usual.alone_seconds,
        cost_beside=promised.beside_seconds / usual.beside_seconds,
    )


def _measured(setting: Setting, deterministic: bool, notes: Notes, name: str) -> _Way:
    workload = setting.scale.mixed
    notes.begin(f"{name}: making a random {workload.shape}")
    config = setting.engine(workload, deterministic=deterministic, prefix_cache=False)
    with random_bases():
        base = load_base(setting.base, config)
    requests = _requests(setting)
    engine = build_engine(base, config, FolderSource(setting.adapters()))
    with contextlib.closing(engine):
        notes.begin(f"{name}: loading the adapters")
        run_all(engine, [_short(request) for request in requests], _SECONDS)
        notes.begin(f"{name}: {len(requests)} prompts one by one")
        alone, alone_seconds = _answers(engine, [[request] for request in requests])
        notes.begin(f"{name}: all at once")
        beside, beside_seconds = _answers(engine, [requests])
    return _Way(alone, beside, alone_seconds, beside_seconds)


def _answers(engine: Engine, rounds: Sequence[list[Request]]) -> tuple[dict[str, Completion], float]:
    """Returns the answers to what is asked at once, round after round, and the seconds that all take."""
    begun = time.perf_counter()
    found: dict[str, Completion] = {}
    for requests in rounds:
        done = run_all(engine, requests, _SECONDS)
        if done.errors:
            raise next(iter(done.errors.values()))
        found |= done.completions
    return found, time.perf_counter() - begun


def _requests(setting: Setting) -> list[Request]:
    """Returns the load's prompts, every other one drawn by a seed, the rest greedy."""
    workload = setting.scale.mixed
    stop = Stop(max_tokens=min(_MOST_TOKENS, workload.new_tokens), ignore_eos=True)
    return [
        Request(
            f"prompt-{number}",
            call.prompt_ids,
            AdapterKey(call.adapter) if call.adapter else None,
            sampling=replace(_DRAWN, seed=number) if number % 2 else Sampling(),
            stop=stop,
            logprobs=True,
        )
        for number, call in enumerate(calls_of_round(workload, 0, base_only=False))
    ]


def _short(request: Request) -> Request:
    """Returns a request that brings the same adapter in."""
    name = f"short-{request.request_id}"
    return Request(name, request.prompt_ids[:3], request.adapter, stop=Stop(max_tokens=1))


def _common(mine: Sequence[int], its: Sequence[int]) -> int:
    """Returns how many tokens both begin with."""
    pairs = enumerate(zip(mine, its, strict=True))
    return next((number for number, (a, b) in pairs if a != b), len(mine))


def _difference(pair: tuple[Completion, Completion]) -> float:
    """Returns the largest difference between log-probabilities up to where the tokens part."""
    mine, its = pair
    shared = _common(mine.token_ids, its.token_ids)
    both = zip(mine.logprobs[:shared], its.logprobs[:shared], strict=True)
    return max((abs(a.logprob - b.logprob) for a, b in both), default=0.0)
