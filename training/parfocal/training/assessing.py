"""The comparison that ends a run: exported adapter and base on held-out rows, on the engine that serves."""

from collections.abc import Sequence
from dataclasses import replace

from parfocal.engine import AdapterKey
from parfocal.training.data import BaseEncoder, Sample
from parfocal.training.evaluation import ArmRows, Questions, Result, Room, ServedBase, evaluate, peft_adapter
from parfocal.training.figures import Arm, Evaluated, TrainingText, neighbours
from parfocal.training.methods import training_device
from parfocal.training.metrics import metric_named
from parfocal.training.runs import Job

BASE, ADAPTER = "base", "adapter"
_MOST_LEARNT = 100
_NO_EFFECT = "The adapter changes no probability at all: it is not on, or it has learnt nothing"


def assess(job: Job, held_out: Sequence[Sample], digest: str) -> Result:
    """Scores base and adapter on the rows; `digest` names the adapter's files.

    Raises:
        EngineError: the base cannot be served here.
        MetricFailed: a metric gave no number for an answer.
    """
    encoder = BaseEncoder(job.base.folder, job.config.template_variables)
    # Those that have a prompt and whose last answer is scored come first: they are answered.
    samples = tuple(sorted(held_out, key=lambda sample: not _is_answerable(sample)))
    answerable = sum(map(_is_answerable, samples))
    learnt = [row for row in job.prepared.train if isinstance(row, Sample)]
    questions = Questions(
        min(job.config.answers, answerable),
        tuple(metric_named(metric) for metric in job.config.metrics),
        job.config.probes,
        _spread(learnt, min(len(samples), _MOST_LEARNT)),
    )
    key = AdapterKey(digest, job.config.name)
    arms = [
        ArmRows(Arm(BASE), None, encoder, samples),
        ArmRows(Arm(ADAPTER, job.config.name, digest), key, encoder, samples),
    ]
    longest = max(len(sample.ids) for sample in (*samples, *questions.learnt))
    device = str(training_device(job.config).device)
    with ServedBase(
        job.base.folder, {digest: peft_adapter(job.folder.adapter)}, device, Room(longest=2 * longest)
    ) as served:
        about = (job.base.id, job.config.data.name, job.prepared.held_out_digest)
        found = evaluate(served, arms, questions, about)
    return replace(found, evaluated=_explained(found, learnt))


def _is_answerable(sample: Sample) -> bool:
    return bool(sample.row.prompt) and sample.row.turns[-1].learn


def _explained(found: Result, learnt: Sequence[Sample]) -> Evaluated:
    """With the training rows that are nearest to wrong answers, and what a reader must know."""
    evaluated = found.evaluated
    rows = (
        TrainingText(each.row.line, "\n".join(turn.content for turn in each.row.prompt), each.row.answer)
        for each in learnt
    )
    near = neighbours(evaluated.items, evaluated.scores[1], rows) if evaluated.scores else {}
    notes = (_NO_EFFECT,) if found.own[1]["logprob_shift"] == 0 else ()
    return replace(evaluated, neighbours=near, notes=(*evaluated.notes, *notes))


def _spread(samples: Sequence[Sample], count: int) -> tuple[Sample, ...]:
    """As many of the samples, evenly spread."""
    return tuple(samples[at * len(samples) // count] for at in range(min(count, len(samples))))
