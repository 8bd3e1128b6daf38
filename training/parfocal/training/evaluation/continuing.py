"""An adapter beside the parent that it continued from: what it gained, and what of the parent it forgot."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from parfocal.training.data import Sample
from parfocal.training.evaluation.items import answers_to, items_of
from parfocal.training.evaluation.measuring import ArmRows, Batch, ProbeAnswers, add_rows
from parfocal.training.evaluation.served_base import ServedBase
from parfocal.training.figures import Continued, Figure, Item, Measured, figures_of, probe_figures
from parfocal.training.metrics import Metric, Scores
from parfocal.training.probes import general_texts

Both = tuple[Measured, Measured]


def add_kept(
    batch: Batch, served: ServedBase, arms: Sequence[ArmRows], kept: Sequence[Sample], answers: int
) -> Callable[[], Sequence[Measured]]:
    """Asks parent and adapter for rows that the parent was trained on."""
    asked = [add_rows(batch, served, replace(arm, samples=tuple(kept)), answers) for arm in arms]
    return lambda: [each() for each in asked]


def metric_scores(
    items: Sequence[Item], measured: Sequence[Measured], metrics: Sequence[Metric]
) -> list[list[Scores]]:
    """Each metric's scores of each arm's answers; none where nothing was answered."""
    if not measured[0].written:
        return []
    return [[metric.scores(answers_to(items, one)) for one in measured] for metric in metrics]


def continued(
    parent: str,
    gained: tuple[Figure, ...],
    kept: tuple[Sequence[Sample], Sequence[Measured]],
    metrics: Sequence[Metric],
    probes: Sequence[ProbeAnswers],
) -> Continued:
    """What parent and adapter did, beside each other; `probes` has both their answers, or is empty.

    Raises:
        MetricFailed: a metric gave no number for an answer.
    """
    samples, measured = kept
    items = items_of(samples)
    of_kept = figures_of(items, measured, metric_scores(items, measured, metrics)) if items else ()
    return Continued(parent, gained, probes_beside(probes), of_kept, len(items))


def probes_beside(probes: Sequence[ProbeAnswers]) -> tuple[Figure, ...]:
    """Figures of general texts, of which the first model's are what the second could forget."""
    if not probes:
        return ()
    texts = [one.texts for one in probes]
    return probe_figures(general_texts(), texts, [one.divergences(probes[0]) for one in probes])
