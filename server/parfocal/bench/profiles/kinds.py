"""The profiles that `parfocal bench --profile` makes: of one kind of step's time, and of its growth."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

from transformers.utils import logging as transformers_logging

from parfocal.bench.limits import Hardware, load_average, machine, measure_hardware, versions
from parfocal.bench.load import Stages, stages_shown
from parfocal.bench.made import cached_base, write_adapter
from parfocal.bench.profiles.growth import growth_visits, measure_growth
from parfocal.bench.profiles.growth_profile import GrowthProfile
from parfocal.bench.profiles.step_bench import StepBench, step_bench
from parfocal.bench.profiles.step_parts import measure_steps
from parfocal.bench.profiles.steps_profile import StepsProfile
from parfocal.bench.reports import Document, Section
from parfocal.bench.stand import Setup
from parfocal.bench.workloads import Workload

_STARTING = 3


class Profile(Protocol):
    """What a profile found."""

    def document(self) -> Document:
        """Everything as JSON."""

    def sections(self) -> list[Section]:
        """As tables."""


def profile_steps(setup: Setup) -> Profile:
    """Runs the workload's batches with and without a clock, and finds where a step's time goes."""
    workload, load = setup.workload, load_average()
    with (
        stages_shown(_STARTING + workload.warmup + workload.repeats) as stages,
        _engine(setup, workload, 0, stages) as bench,
    ):
        hardware, facts = _measured(bench, load, stages)
        bench.load_adapters()
        found = measure_steps(bench, workload, stages)
        return StepsProfile(workload, bench.stored, found, hardware, facts, versions())


def profile_growth(setup: Setup) -> Profile:
    """Runs steps of ever more rows and ever more adapters in turn, and measures what they cost."""
    load = load_average()
    visits = growth_visits(setup.workload)
    workload = visits.workload
    with (
        stages_shown(_STARTING + workload.warmup + workload.repeats) as stages,
        _engine(setup, workload, visits.kept, stages) as bench,
    ):
        hardware, facts = _measured(bench, load, stages)
        bench.load_adapters()
        found = measure_growth(bench, visits, stages)
        return GrowthProfile(visits, bench.stored, found, hardware, facts, versions())


PROFILES: Mapping[str, Callable[[Setup], Profile]] = {"steps": profile_steps, "growth": profile_growth}


@contextlib.contextmanager
def _engine(setup: Setup, workload: Workload, kept: int, stages: Stages) -> Iterator[StepBench]:
    with tempfile.TemporaryDirectory(prefix="parfocal-bench-") as scratch:
        stages.begin(f"Writing a random {workload.shape} and {workload.adapters} adapters")
        base = cached_base(workload.sizes(), setup.cache)
        folders = [_adapter(workload, number, Path(scratch)) for number in range(workload.adapters)]
        stages.done()
        stages.begin("Loading them")
        transformers_logging.disable_progress_bar()
        bench = step_bench(workload, setup.device, base, folders, kept)
        with contextlib.closing(bench):
            stages.done()
            yield bench


def _adapter(workload: Workload, number: int, scratch: Path) -> Path:
    rank = workload.rank_of(number)
    return write_adapter(workload.sizes(), rank, scratch / str(number), workload.seed + number)


def _measured(bench: StepBench, load: float, stages: Stages) -> tuple[Hardware, dict[str, object]]:
    """Before the first step: native kernels bring threads of their own, and leave torch only one."""
    stages.begin("Measuring the hardware")
    device = bench.base.info.device
    hardware, facts = measure_hardware(device), machine(device, load)
    stages.done()
    return hardware, facts
