"""The real engine in this process, without a server: runs batches and takes the time of every step."""

import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from parfocal.bench.errors import AnswerWrong
from parfocal.bench.limits import Stored, stored_types
from parfocal.bench.workloads import Workload
from parfocal.engine import (
    AdapterFolder,
    AdapterKey,
    Delta,
    Engine,
    EngineConfig,
    RankAndScale,
    Request,
    SilentObserver,
    StepReport,
    Stop,
)
from parfocal.engine.loading import build_engine, load_base
from parfocal.engine.model import ResidentBase, StepProfile
from parfocal.registry import read_peft_folder

_WAIT_S = 0.05
_LOAD_PROMPT = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its whole time, the tokens it computed and those that were of prompts, its time by part."""

    seconds: float
    tokens: int
    prompt_tokens: int
    parts: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Batch:
    """Requests that start together. `adapters` has each row's number; None is the base.

    The same `number` gives the same prompts again.
    """

    adapters: Sequence[int | None]
    new_tokens: int
    number: int = 0


class StepBench:
    """An engine with a workload's adapters on its device."""

    def __init__(
        self, workload: Workload, base: ResidentBase, folders: Sequence[Path], config: EngineConfig
    ) -> None:
        self.base = base
        self.stored: Stored = stored_types(workload, base.info.dtype, base.info.device)
        self._workload = workload
        self._keys = [AdapterKey(f"bench-{number}") for number in range(len(folders))]
        self._observer = _LastStep()
        source = _Folders({key.digest: path for key, path in zip(self._keys, folders, strict=True)})
        self._engine: Engine = build_engine(base, config, source, self._observer)
        self._asked = 0
        self._failed: list[Exception] = []

    def load_adapters(self) -> None:
        """Puts every adapter on the device."""
        for number in range(len(self._keys)):
            self._submit(_LOAD_PROMPT, number, 1)
        self._run(None)

    def run(self, batch: Batch, clock: StepProfile | None = None) -> list[Step]:
        """Runs the batch to its end and returns its steps; with a clock, also where their time went."""
        for row, adapter in enumerate(batch.adapters):
            self._submit(self._prompt(batch.number, row), adapter, batch.new_tokens)
        return self._run(clock)

    def close(self) -> None:
        """Stops the engine's threads."""
        self._engine.close()

    def _run(self, clock: StepProfile | None) -> list[Step]:
        steps = []
        while self._engine.live:
            if clock is not None:
                clock.take()
            begun = time.perf_counter()
            worked = self._engine.step()
            seconds = time.perf_counter() - begun
            if worked:
                report = self._observer.report
                parts = {} if clock is None else clock.take()
                steps.append(Step(seconds, report.tokens, report.prompt_tokens, parts))
            else:
                self._engine.wait(_WAIT_S)
            if self._failed:
                raise AnswerWrong(f"the engine failed on a request: {self._failed[0]}") from self._failed[0]
        return steps

    def _submit(self, prompt: Sequence[int], adapter: int | None, new_tokens: int) -> None:
        self._asked += 1
        key = None if adapter is None else self._keys[adapter]
        stop = Stop(max_tokens=new_tokens, ignore_eos=True)
        self._engine.submit(Request(f"bench-{self._asked}", tuple(prompt), key, stop=stop), self._take)

    def _take(self, item: Delta | Exception) -> None:
        if isinstance(item, Exception):
            self._failed.append(item)

    def _prompt(self, number: int, row: int) -> list[int]:
        work = self._workload
        draw = random.Random(f"{work.seed}/steps/{number}/{row}")
        length = draw.randint(work.shortest, work.prompt_tokens)
        return [draw.randrange(work.sizes().vocabulary) for _ in range(length)]


def step_bench(workload: Workload, device: str, base: Path, folders: Sequence[Path], kept: int) -> StepBench:
    """An engine for batches of the workload, with room for `kept` prompts at once.

    Raises EngineError.
    """
    block = EngineConfig().block_tokens
    context = workload.prompt_tokens + workload.new_tokens + block
    blocks = 2 * (kept + workload.batch) * -(-context // block)
    config = EngineConfig(
        device=device,
        dtype=workload.dtype,
        adapter_dtype=workload.adapter_dtype,
        kernels=workload.kernels,
        activation_bits=workload.activation_bits,
        slots=max(1, len(folders)),
        max_requests=workload.batch,
        kv_cache_bytes=blocks * block * workload.sizes().kv_values() * 4,
    )
    return StepBench(workload, load_base(base, config), folders, config)


@dataclass(slots=True)
class _LastStep(SilentObserver):
    """Keeps what the engine said of its last step."""

    report: StepReport = field(default_factory=lambda: StepReport(0.0, 0, 0, 0, 0, 0, 0, 0, 0))

    def step(self, report: StepReport) -> None:
        self.report = report


@dataclass(frozen=True, slots=True)
class _Folders:
    """Adapters' folders by digest."""

    paths: Mapping[str, Path]

    def folder(self, adapter: AdapterKey) -> AdapterFolder:
        path = self.paths[adapter.digest]
        read = read_peft_folder(path)
        targets = [module.target for module in read.modules]
        rslora = read.config.use_rslora
        return AdapterFolder(path, {t.path: RankAndScale(t.rank, t.scale(rslora)) for t in targets})
