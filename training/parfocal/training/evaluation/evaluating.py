"""Evaluates arms on held-out rows: one batch on the serving engine, then figures with intervals."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from parfocal.training.data import Sample
from parfocal.training.evaluation.continuing import add_kept, continued, metric_scores
from parfocal.training.evaluation.items import items_of
from parfocal.training.evaluation.measuring import (
    ArmRows,
    Batch,
    ProbeAnswers,
    add_probes,
    add_rows,
    add_scores,
)
from parfocal.training.evaluation.served_base import Progress, ServedBase
from parfocal.training.figures import (
    MOST,
    Evaluated,
    Figure,
    Measured,
    PairOfTexts,
    RowScore,
    figures_of,
    pair_figures,
    probe_figures,
    recorded,
    recorded_beside_parent,
)
from parfocal.training.metrics import Metric
from parfocal.training.probes import general_texts, text_pairs


@dataclass(frozen=True, slots=True)
class Questions:
    """What is asked of every arm: how many rows are answered, by which metrics, and whether it is probed.

    The first metric is the one that tells which answers are right. `learnt` are training rows on which the
    loss in training is measured. With `parent`, the title of the second arm, the last is compared with that,
    too, also on the rows `kept`, which the parent was trained on.
    """

    answers: int
    metrics: tuple[Metric, ...] = ()
    probes: bool = True
    learnt: tuple[Sample, ...] = ()
    parent: str = ""
    kept: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """An evaluation, and metrics of each arm that are no figures of held-out rows."""

    evaluated: Evaluated
    own: tuple[dict[str, float], ...]

    def recorded(self, arm: int) -> dict[str, float]:
        """What a registry records of an arm."""
        found = recorded((*self.evaluated.figures, *self.evaluated.probes), arm, self.own[arm])
        beside = self.evaluated.continued
        if beside is None or arm != len(self.own) - 1:
            return found
        return found | recorded_beside_parent(beside, MOST - len(found))


def evaluate(
    served: ServedBase,
    arms: Sequence[ArmRows],
    questions: Questions,
    about: tuple[str, str, str],
    progress: Progress | None = None,
) -> Result:
    """Evaluates the arms, of which the first is the base without a prompt; all have the same rows in order.

    `about` names the base and the data, and has the digest of what the rows teach.

    Raises:
        EngineError: a row was refused, or the engine failed.
        MetricFailed: a metric gave no number for an answer.
    """
    batch = Batch()
    rows = [add_rows(batch, served, one, questions.answers) for one in arms]
    learnt = [add_scores(batch, one, questions.learnt) for one in arms]
    texts, pairs = (general_texts(), text_pairs()) if questions.probes else ((), ())
    # A prompt before a general text would be another text.
    probed = [at for at, one in enumerate(arms) if questions.probes and not one.arm.prompted]
    probes = {at: add_probes(batch, served, arms[at], texts, pairs) for at in probed}
    both = (arms[1], arms[-1]) if questions.parent else ()
    kept = add_kept(batch, served, both, questions.kept, questions.answers)
    batch.run(served, progress)
    measured = tuple(each() for each in rows)
    items = items_of(arms[0].samples)
    scores = metric_scores(items, measured, questions.metrics)
    beside = None
    if questions.parent:
        two = [[one[1], one[-1]] for one in scores]
        beside = continued(
            questions.parent,
            figures_of(items, (measured[1], measured[-1]), two),
            (questions.kept, kept()),
            questions.metrics,
            [probes[1], probes[len(arms) - 1]] if questions.probes else [],
        )
    base, data, digest = about
    leading = questions.metrics[0].leading if scores else ""
    evaluated = Evaluated(
        base,
        data,
        digest,
        items,
        measured,
        figures_of(items, measured, scores),
        leading,
        tuple(tuple(one.means[leading]) for one in scores[0]) if scores else (),
        probe_figures_of(probes, len(arms)),
        pairs_of(probes, pairs),
        continued=beside,
    )
    own = tuple(own_metrics(measured, at, learnt[at]) for at in range(len(arms)))
    return Result(evaluated, own)


def probe_figures_of(probes: dict[int, ProbeAnswers], arms: int) -> tuple[Figure, ...]:
    """Figures of probes have an entry for each arm, None for one that was not probed."""
    if not probes:
        return ()
    of_arm = [probes.get(at, probes[0]) for at in range(arms)]
    texts = [one.texts for one in of_arm]
    kls = [one.divergences(probes[0]) for one in of_arm]
    general = probe_figures(general_texts(), texts, kls)
    found = (*general, *pair_figures(text_pairs(), [one.odds for one in of_arm]))
    return tuple(
        replace(
            figure,
            estimates=tuple(one if at in probes else None for at, one in enumerate(figure.estimates)),
            improvements=tuple(one if at in probes else None for at, one in enumerate(figure.improvements)),
        )
        for figure in found
    )


def pairs_of(
    probes: dict[int, ProbeAnswers], pairs: Sequence[PairOfTexts]
) -> tuple[tuple[PairOfTexts, tuple[float, ...]], ...]:
    """Each pair with the log-odds of each arm that was probed."""
    return tuple((pair, tuple(one.odds[at] for one in probes.values())) for at, pair in enumerate(pairs))


def own_metrics(measured: Sequence[Measured], at: int, learnt: Sequence[RowScore]) -> dict[str, float]:
    """Metrics of one arm that are no comparison on the held-out rows."""
    found: dict[str, float] = {}
    if at and measured[0].scores:
        found["logprob_shift"] = _shift(measured[0].scores, measured[at].scores)
    if learnt:
        here = measured[at].scores
        found["train_loss"] = _loss(learnt)
        found["overfitting_gap"] = _loss(here) - _loss(learnt)
    if measured[at].written:
        wrote = measured[at].written
        found["answer_tokens"] = sum(each.tokens for each in wrote) / len(wrote)
        found["prompt_tokens"] = sum(each.prompt_tokens for each in wrote) / len(wrote)
    return found


def _shift(base: Sequence[RowScore], mine: Sequence[RowScore]) -> float:
    """How far the adapter moves the log-probability of a token on average: 0 where it does nothing."""
    moved = [
        abs(one - other)
        for here, there in zip(base, mine, strict=True)
        if len(here.logprobs) == len(there.logprobs)
        for one, other in zip(here.logprobs, there.logprobs, strict=True)
    ]
    return sum(moved) / len(moved) if moved else 0.0


def _loss(scores: Sequence[RowScore]) -> float:
    """The mean over all tokens."""
    tokens = [-each for score in scores for each in score.logprobs]
    return sum(tokens) / len(tokens)
