"""One loaded base on which adapters are trained one after the other, each as if it were alone on it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from peft import PeftModel

from parfocal.training.data import Learnable
from parfocal.training.hyperparameters import base_facts
from parfocal.training.methods.adapter import add_adapter, load_base, training_device
from parfocal.training.methods.choosing import measure_of
from parfocal.training.methods.method import Marks, Measure, Setting
from parfocal.training.runs import Job


class ResidentBase:
    """The 4-bit base of runs that share base, device, rows and maximal length; loaded for the first of them.

    What the base alone scores is measured once for each way to batch the rows.
    """

    def __init__(self) -> None:
        self._base: Any = None
        self._measures: dict[tuple[object, ...], _Referred] = {}

    @contextmanager
    def adapted(self, job: Job) -> Iterator[PeftModel]:
        """The base with a fresh adapter for `job`; taken off again when the scope ends.

        Raises:
            BaseUnfit: serving does not support the architecture.
            InvalidConfig: the base has no linear module that one of the targets names.
        """
        if self._base is None:
            place = training_device(job.config)
            self._base = load_base(job.base.folder, base_facts(job.base.folder), job.hyperparameters, place)
        model = add_adapter(self._base, job.config, job.hyperparameters)
        try:
            yield model
        finally:
            self._base = model.unload()

    def measure(self, setting: Setting, rows: Sequence[Learnable]) -> Measure:
        """What marks a model on `rows`, which are the same for all runs; a run's rewards are its own."""
        if setting.rewards is not None:
            return measure_of(setting, rows)
        it = setting.hyperparameters
        key = (it.micro_batch, it.beta, it.generations, it.answer_tokens)
        if key not in self._measures:
            self._measures[key] = _Referred(measure_of(setting, rows))
        return self._measures[key]


class _Referred:
    """A measure that marks the base once, however often it is asked to."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self._base: Marks | None = None
        self.examples = measure.examples
        self.relative = measure.relative

    def refer(self, model: Any) -> Marks:
        """Marks the base, or remembers how it did."""
        if self._base is None:
            self._base = self._measure.refer(model)
        return self._base

    def score(self, model: Any) -> Marks:
        """Marks `model`."""
        return self._measure.score(model)
