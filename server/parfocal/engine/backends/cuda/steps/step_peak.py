"""The workspace of a step on CUDA, found by running the largest steps and measuring their peak memory.

Knows no kernels: it is given the forward pass that will serve.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import torch

from parfocal.engine.adapters import Place
from parfocal.engine.backends.cuda.fallback import failures
from parfocal.engine.backends.torch import at_most
from parfocal.engine.config import EngineConfig
from parfocal.engine.memory import Workspace
from parfocal.engine.model import Forward, KvCache, ResidentBase, Runner
from parfocal.engine.request import Sampling
from parfocal.engine.scheduling import Plan, PlanRow, SamplingRow

log = logging.getLogger(__name__)

# Exercises every rule of the sampler at once.
_SAMPLING = Sampling(1.0, 50, 0.9, 0.05, 1.1, 0.1, 0.1)
_ROW = SamplingRow(_SAMPLING, 1, (0,), (0,), (0,), logprobs=True, top_logprobs=20, draw_seed=0)


@dataclass(frozen=True, slots=True)
class Measured:
    """The forward pass that serves, and an adapter of zeros at `place` that takes `adapter_bytes`."""

    forward: Forward
    place: Place
    adapter_bytes: int


class StepMaker(Protocol):
    """Makes what is measured."""

    def __call__(self, base: ResidentBase, config: EngineConfig, cache: KvCache) -> Measured:
        """The forward pass over a cache, with one adapter of the highest rank on every linear."""


class Peak(Protocol):
    """Measures peak device memory."""

    def most_bytes(self, work: Callable[[], object]) -> int:
        """The peak bytes of all tensors on the device while `work` runs."""


class CudaPeak:
    """Asks torch's allocator, and empties its cache."""

    def __init__(self, device: torch.device) -> None:
        self._device = device

    def most_bytes(self, work: Callable[[], object]) -> int:
        """The peak bytes of all tensors on the device while `work` runs."""
        torch.cuda.reset_peak_memory_stats(self._device)
        try:
            work()
            return torch.cuda.max_memory_allocated(self._device)
        finally:
            torch.cuda.empty_cache()


class MeasuredWorkspace:
    """Measures the largest steps with a short and the longest context; estimates where they do not run.

    A step takes what its widest layer does, or its attention if that is more, which may grow with the
    context: a line through both measurements is never too low. What libraries allocate once and keep is
    counted too.
    """

    def __init__(self, make: StepMaker, peak: Peak) -> None:
        self._make = make
        self._peak = peak

    def __call__(self, base: ResidentBase, config: EngineConfig) -> Workspace:
        """The most that a step of `base` takes under `config`."""
        try:
            return self._measured(base, config)
        except failures() as error:
            # Too little memory, or a kernel that this card cannot run: building the engine will tell.
            log.info("the largest step's workspace is estimated, not measured: %s", error)
            return at_most(base, config)

    def _measured(self, base: ResidentBase, config: EngineConfig) -> Workspace:
        cache = KvCache(base.kv_shape, 1, config.block_tokens, base.device)
        cache.clear(torch.zeros(1, dtype=torch.long, device=base.device))
        made = self._make(base, config, cache)
        runner = Runner(made.forward, base.backend)
        stays = base.info.memory_bytes + base.kv_shape.token_bytes * config.block_tokens + made.adapter_bytes

        def taken(context: int) -> int:
            plans = largest_plans(config, context, made.place)
            return max(self._peak.most_bytes(partial(runner.run, plan)) for plan in plans) - stays

        longest = base.info.context_tokens
        fixed = max(0, taken(min(longest, config.max_batch_tokens)))
        growth = max(0, taken(longest) - fixed)
        return Workspace(fixed, -(-growth // longest))


def largest_plans(config: EngineConfig, context: int, place: Place) -> list[Plan]:
    """Steps of the most tokens: of as few rows as hold them, and of as many rows as there may be.

    All rows use the adapter at `place`, have `context` tokens, sample, and share the first block of the
    cache.
    """
    return [_largest(config, context, place, rows) for rows in (1, config.max_requests)]


def _largest(config: EngineConfig, context: int, place: Place, count: int) -> Plan:
    blocks = (0,) * -(-context // config.block_tokens)
    left, rows = config.max_batch_tokens, list[PlanRow]()
    while left and len(rows) < config.max_requests:
        others = max(0, min(count, config.max_batch_tokens) - len(rows) - 1)
        tokens = min(context, left - others)
        row = PlanRow(f"row {len(rows)}", (0,) * tokens, context - tokens, blocks, place, _ROW)
        rows.append(row)
        left -= tokens
    return Plan(tuple(rows))
