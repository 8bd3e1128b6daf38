"""The comparison that ends a run: exported adapter, base and parent on the engine that serves."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from parfocal.engine import AdapterKey
from parfocal.training.data import BaseEncoder, Sample
from parfocal.training.evaluation import ArmRows, Questions, Result, Room, ServedBase, evaluate, peft_adapter
from parfocal.training.figures import Arm, Evaluated, TrainingText, neighbours
from parfocal.training.methods import training_device
from parfocal.training.metrics import metric_named
from parfocal.training.runs import Job

BASE, ADAPTER = "base", "adapter"
_MOST_LEARNT = 100
_NO_PARENT = "{} is no longer in the registry, so the adapter is not compared with it"
_NO_EFFECT = "The adapter changes no probability at all: it is not on, or it has learnt nothing"


@dataclass(frozen=True, slots=True)
class RunArm:
    """One way to answer, and where its adapter's files are; the base has none."""

    arm: Arm
    folder: Path | None = None

    @property
    def key(self) -> AdapterKey | None:
        """How the engine knows it."""
        return None if self.folder is None else AdapterKey(self.arm.digest, self.arm.adapter)


def arms_of(job: Job, digest: str) -> list[RunArm]:
    """Base, parent where there is one with files, and adapter, whose files `digest` names."""
    parent = job.parent
    found = [RunArm(Arm(BASE))]
    if parent is not None and parent.folder is not None:
        found.append(RunArm(Arm(parent.name, parent.name, parent.digest), parent.folder))
    return [*found, RunArm(Arm(ADAPTER, ADAPTER, digest), job.folder.adapter)]


def assess(job: Job, held_out: Sequence[Sample], digest: str) -> Result:
    """Scores base, adapter and, if it is there, the parent on the rows; `digest` names the adapter's files.

    Raises:
        EngineError: the base cannot be served here.
        MetricFailed: a metric gave no number for an answer.
    """
    encoder = BaseEncoder(job.base.folder, job.config.template_variables)
    # Those that have a prompt and whose last answer is scored come first: they are answered.
    samples = tuple(sorted(held_out, key=lambda sample: not _is_answerable(sample)))
    answerable = sum(map(_is_answerable, samples))
    learnt = [row for row in job.prepared.train if isinstance(row, Sample)]
    arms = arms_of(job, digest)
    questions = Questions(
        min(job.config.answers, answerable),
        tuple(metric_named(metric) for metric in job.config.metrics),
        job.config.probes,
        _spread(learnt, min(len(samples), _MOST_LEARNT)),
        arms[1].arm.title if len(arms) > 2 else "",
        tuple(row for row in job.prepared.kept if isinstance(row, Sample)),
    )
    longest = max(len(sample.ids) for sample in (*samples, *questions.learnt, *questions.kept))
    device = str(training_device(job.config).device)
    folders = {each.arm.digest: peft_adapter(each.folder) for each in arms if each.folder is not None}
    with ServedBase(job.base.folder, folders, device, Room(longest=2 * longest)) as served:
        asked = [ArmRows(each.arm, each.key, encoder, samples) for each in arms]
        about = (job.base.id, job.config.data.name, job.prepared.held_out_digest)
        found = evaluate(served, asked, questions, about)
    return replace(found, evaluated=_explained(job, found, learnt))


def _is_answerable(sample: Sample) -> bool:
    return bool(sample.row.prompt) and sample.row.turns[-1].learn


def _explained(job: Job, found: Result, learnt: Sequence[Sample]) -> Evaluated:
    """With the training rows that are nearest to wrong answers, and what a reader must know."""
    evaluated = found.evaluated
    rows = (
        TrainingText(each.row.line, "\n".join(turn.content for turn in each.row.prompt), each.row.answer)
        for each in learnt
    )
    near = neighbours(evaluated.items, evaluated.scores[-1], rows) if evaluated.scores else {}
    notes = notes_of(job, found.own[-1]["logprob_shift"] == 0)
    return replace(evaluated, neighbours=near, notes=(*evaluated.notes, *notes))


def notes_of(job: Job, has_no_effect: bool) -> tuple[str, ...]:
    """What a reader must know of the adapter, and of the parent."""
    parent = job.parent
    gone = parent is not None and parent.folder is None
    return (
        *([_NO_EFFECT] if has_no_effect else []),
        *([_NO_PARENT.format(parent.name)] if parent is not None and gone else []),
    )


def _spread(samples: Sequence[Sample], count: int) -> tuple[Sample, ...]:
    """As many of the samples, evenly spread."""
    return tuple(samples[at * len(samples) // count] for at in range(min(count, len(samples))))
