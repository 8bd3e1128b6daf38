"""Times and counts what draws a step's tokens, by rows and by what they ask for: kernels, and torch alone."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import torch

from bench.gpu_stand.four_bit_products import HostClock
from bench.gpu_stand.notes import Notes
from bench.gpu_stand.profiled import profiled
from bench.gpu_stand.setting import Setting
from fakes.engine.cuda.launches import Launches
from fakes.engine.sampling_rows import row
from parfocal.bench.workloads.shapes import shape_named
from parfocal.engine.backends.cuda.clock import CudaClock
from parfocal.engine.backends.cuda.four_bit import Clock
from parfocal.engine.backends.cuda.sampling import choose_bends, choose_draws, choose_likeliest
from parfocal.engine.request import Sampling
from parfocal.engine.sampling import Drawn, Sampler
from parfocal.engine.scheduling import SamplingRow

_TIMES = 9
_NEW = 64
# A request's limits as most clients send them, and rules as some add them.
_LIMITS = {"temperature": 0.8, "top_p": 0.95}
_PENALTIES = {"repetition_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.1}
_ASKED: Mapping[str, Mapping[str, float]] = {
    "greedy": {},
    "drawn": _LIMITS,
    "penalised": _PENALTIES,
    "penalised and drawn": {**_PENALTIES, **_LIMITS},
}
_BIASED, _HALF = "biased and banned", "half penalised and drawn"
_KINDS = (*_ASKED, _BIASED, _HALF)

Found = dict[str, float | str]


@torch.inference_mode()
def measure_all(setting: Setting, notes: Notes) -> None:
    """Measures every number of rows and kind of row; keeps each as it is found."""
    device = torch.device(setting.scale.device)
    clock: Clock = HostClock() if setting.is_dry else CudaClock(device)
    rejected: dict[str, str] = {}
    samplers = {"kernels": _by_kernels(device, rejected), "torch": Sampler()}
    notes.sum_up(rejected=rejected)
    vocabulary, prompt = shape_named(setting.scale.shape).vocabulary, setting.scale.mixed.prompt_tokens
    found: list[Found] = []
    for count in (2,) if setting.is_dry else setting.scale.rows:
        logits = 3 * torch.randn(count, vocabulary, generator=torch.Generator().manual_seed(count))
        there = logits.to(device)
        for kind in _KINDS:
            notes.begin(f"{count} rows, {kind}")
            rows = [_row(kind, number, vocabulary, prompt) for number in range(count)]
            tokens = []
            for way, sampler in samplers.items():
                tokens.append(sampler.sample(there, rows))
                figures = _measured(sampler, there, rows, clock)
                found.append({"rows": count, "kind": kind, "way": way, **figures})
            # A draw may differ where its number falls between two tokens within rounding.
            found[-2]["other_tokens"] = sum(a != b for a, b in zip(*tokens, strict=True))
            notes.put(sampling=found)
    notes.sum_up(sampling=found)


def _by_kernels(device: torch.device, rejected: dict[str, str]) -> Sampler:
    def report(kernel: str, reason: str) -> None:
        rejected[kernel] = reason

    likeliest = choose_likeliest(device, report)
    bends = choose_bends(device, likeliest, report)
    return Sampler(likeliest=likeliest, draws=choose_draws(device, report), bends=bends)


def _row(kind: str, number: int, vocabulary: int, prompt: int) -> SamplingRow:
    """A row in the middle of an answer to a prompt of distinct tokens."""
    draw = torch.Generator().manual_seed(number)
    seen = torch.randint(vocabulary, (prompt + _NEW,), generator=draw).tolist()
    told = {"prompt_ids": tuple(seen[:prompt]), "output_ids": tuple(seen[prompt:]), "draw_seed": number}
    if kind == _BIASED:
        bias = {token: 1.5 for token in seen[:100]}
        return row(Sampling(logit_bias=bias), banned_ids=tuple(seen[-2:]), **told)
    asked = _ASKED[kind] if kind in _ASKED else _ASKED["penalised and drawn" if number % 2 else "greedy"]
    return row(Sampling(**asked), **told)  # type: ignore[arg-type]


def _measured(sampler: Sampler, logits: torch.Tensor, rows: Sequence[SamplingRow], clock: Clock) -> Found:
    """What the device launches and takes, and how long the host is busy queueing it."""

    def queue() -> Drawn:
        return sampler.queue(logits, rows)

    if not logits.is_cuda:
        with Launches() as launches:
            seconds = clock.seconds(queue)
        return {"launches": len(launches.names), "microseconds": 1e6 * seconds, "host_microseconds": 0.0}
    queue().tokens()
    device, host = zip(*((clock.seconds(queue), _host_seconds(queue)) for _ in range(_TIMES)), strict=True)
    return {
        "launches": len(profiled(queue, logits.device)),
        "microseconds": 1e6 * statistics.median(device),
        "host_microseconds": 1e6 * statistics.median(host),
    }


def _host_seconds(queue: Callable[[], object]) -> float:
    torch.cuda.synchronize()
    begun = time.perf_counter()
    queue()
    return time.perf_counter() - begun
