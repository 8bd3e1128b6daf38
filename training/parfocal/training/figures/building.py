"""From what each arm did to figures with intervals, over all rows and over each slice."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from parfocal.training.figures.evaluated import Figure, Item, Measured
from parfocal.training.intervals import (
    Difference,
    Estimate,
    Measure,
    Resamples,
    compare,
    compare_measures,
    estimate,
    estimate_measure,
)
from parfocal.training.metrics import Scores

MOST_SLICES = 20
_RATE = (0.0, 1.0)


@dataclass(slots=True)
class _Rows:
    """The rows of all figures of one slice: which items, and how they are resampled."""

    name: str
    at: Sequence[int]
    items: Sequence[Item]
    resamples: dict[str, Resamples] = field(default_factory=dict)

    def answered(self, count: int) -> list[int]:
        """Those among the first `count` items, which were answered."""
        return [at for at in self.at if at < count]

    def of_rows(self, at: Sequence[int]) -> Resamples:
        """Resamples rows by cluster."""
        return self._kept(f"rows {len(at)}", lambda: [self.items[one].cluster for one in at])

    def of_tokens(self, lengths: Sequence[int]) -> Resamples:
        """Resamples tokens by their rows' clusters."""
        pairs = zip(self.at, lengths, strict=True)
        return self._kept(
            f"tokens {lengths}", lambda: [self.items[at].cluster for at, n in pairs for _ in range(n)]
        )

    def _kept(self, key: str, clusters: Callable[[], list[bytes]]) -> Resamples:
        if key not in self.resamples:
            self.resamples[key] = Resamples(clusters())
        return self.resamples[key]


def figures_of(
    items: Sequence[Item], measured: Sequence[Measured], scored: Sequence[Sequence[Scores]]
) -> tuple[Figure, ...]:
    """Every figure. `scored` has, for each metric, its scores of each arm's answers."""
    found: list[Figure] = []
    for rows in [_Rows("", range(len(items)), items), *_slices(items)]:
        found += _loss_figures(rows, measured)
        found += _answer_figures(rows, measured)
        for scores in scored:
            found += _metric_figures(rows, scores)
    return tuple(found)


def slice_names(items: Sequence[Item]) -> list[str]:
    """The slices that figures are of, those of most rows first."""
    counts = {name: 0 for name in dict.fromkeys(item.slice for item in items) if name}
    for item in items:
        if item.slice:
            counts[item.slice] += 1
    return sorted(counts, key=lambda name: -counts[name])[:MOST_SLICES]


def _slices(items: Sequence[Item]) -> Iterator[_Rows]:
    for name in slice_names(items):
        yield _Rows(name, [at for at, item in enumerate(items) if item.slice == name], items)


def _loss_figures(rows: _Rows, measured: Sequence[Measured]) -> Iterator[Figure]:
    """The loss per token; what is gained is per row, so that long answers do not decide alone."""
    chosen = [[one.scores[at] for at in rows.at] for one in measured]
    of_rows = rows.of_rows(rows.at)
    of_tokens = [rows.of_tokens([len(score.logprobs) for score in scores]) for scores in chosen]
    losses = [[-value for score in scores for value in score.logprobs] for scores in chosen]
    right = [[float(value) for score in scores for value in score.right] for scores in chosen]
    by_row = [[score.loss for score in scores] for scores in chosen]
    shares = [[sum(score.right) / len(score.right) for score in scores] for scores in chosen]
    count = len(rows.at)
    yield Figure(
        "loss",
        rows.name,
        count,
        False,
        tuple(map(estimate, losses, of_tokens)),
        (None, *(compare(by_row[0], one, of_rows) for one in by_row[1:])),
    )
    yield Figure(
        "token_accuracy",
        rows.name,
        count,
        True,
        tuple(estimate(one, tokens, _RATE) for one, tokens in zip(right, of_tokens, strict=True)),
        (None, *(compare(one, shares[0], of_rows) for one in shares[1:])),
    )


def _answer_figures(rows: _Rows, measured: Sequence[Measured]) -> Iterator[Figure]:
    at = rows.answered(len(measured[0].written))
    if not at:
        return
    stops = [[float(one.written[row].stopped) for row in at] for one in measured]
    yield mean_figure("stops", rows.name, len(at), stops, rows.of_rows(at))


def _metric_figures(rows: _Rows, scores: Sequence[Scores]) -> Iterator[Figure]:
    first = scores[0]
    count = len(next(iter(first.means.values())))
    at = rows.answered(count)
    if not at:
        return
    resamples = rows.of_rows(at)
    for name in first.means:
        chosen = [[one.means[name][row] for row in at] for one in scores]
        yield mean_figure(name, rows.name, len(at), chosen, resamples)
    if not rows.name:  # a figure that is no mean is one of all rows
        for name in first.wholes:
            wholes = [one.wholes[name] for one in scores]
            yield Figure(name, "", len(at), True, *_whole(wholes, resamples))


def _whole(
    wholes: Sequence[Measure], resamples: Resamples
) -> tuple[tuple[Estimate, ...], tuple[Difference | None, ...]]:
    estimates = tuple(estimate_measure(one, resamples, _RATE) for one in wholes)
    return estimates, (None, *(compare_measures(one, wholes[0], resamples) for one in wholes[1:]))


def mean_figure(
    name: str, of_slice: str, rows: int, scores: Sequence[Sequence[float]], resamples: Resamples
) -> Figure:
    """A figure that is the mean of what `scores` has of each arm's `rows`, higher the better."""
    is_rate = all(0 <= value <= 1 for one in scores for value in one)
    estimates = tuple(estimate(one, resamples, _RATE if is_rate else None) for one in scores)
    improvements = (None, *(compare(one, scores[0], resamples) for one in scores[1:]))
    return Figure(name, of_slice, rows, True, estimates, improvements)
