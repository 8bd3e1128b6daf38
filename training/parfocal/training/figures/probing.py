"""What probes tell: how much was forgotten of general text, and which of two ways to go on is likelier."""

from collections.abc import Iterator, Sequence

from parfocal.training.figures.evaluated import Figure, PairOfTexts, ProbeText, RowScore
from parfocal.training.intervals import Difference, Estimate, Interval, Resamples, compare, estimate


def probe_figures(
    texts: Sequence[ProbeText], scores: Sequence[Sequence[RowScore]], kls: Sequence[Sequence[float]]
) -> tuple[Figure, ...]:
    """Loss on general text, what of it is lost as a share of the first arm's, and how far arms are from it.

    `scores` has each arm's of each text, the first arm's first; `kls` each arm's mean KL divergence from the
    first, in nats per token.
    """
    found: list[Figure] = []
    for name in ("", *dict.fromkeys(text.slice for text in texts)):
        at = [place for place, text in enumerate(texts) if name in ("", text.slice)]
        found += _of_slice(
            name, [[one[x] for x in at] for one in scores], [[one[x] for x in at] for one in kls]
        )
    return tuple(found)


def _of_slice(
    name: str, scores: Sequence[Sequence[RowScore]], kls: Sequence[Sequence[float]]
) -> Iterator[Figure]:
    rows = Resamples(range(len(scores[0])))
    losses = [[score.loss for score in one] for one in scores]
    improvements = (None, *(compare(losses[0], one, rows) for one in losses[1:]))
    yield Figure(
        "general_loss", name, rows.rows, False, tuple(estimate(one, rows) for one in losses), improvements
    )
    lost = tuple(_share(gained, sum(losses[0]) / rows.rows) for gained in improvements)
    yield Figure("forgetting", name, rows.rows, False, lost, (None,) * len(lost))
    far = tuple(estimate(one, rows, (0.0, float("inf"))) for one in kls)
    yield Figure("kl_from_base", name, rows.rows, False, far, (None,) * len(far))


def pair_figures(pairs: Sequence[PairOfTexts], odds: Sequence[Sequence[float]]) -> tuple[Figure, ...]:
    """For each kind of pair, how often each arm finds the first text likelier; `odds` has their log-odds."""
    found = []
    for kind in dict.fromkeys(pair.kind for pair in pairs):
        at = [place for place, pair in enumerate(pairs) if pair.kind == kind]
        rows = Resamples(range(len(at)))
        firsts = [[float(one[place] > 0) for place in at] for one in odds]
        found.append(
            Figure(
                kind,
                "",
                len(at),
                kind == MODERN_FACTS,
                tuple(estimate(one, rows, (0.0, 1.0)) for one in firsts),
                (None, *(_improvement(one, firsts[0], rows, kind) for one in firsts[1:])),
            )
        )
    return tuple(found)


MODERN_FACTS = "modern_facts"


def _improvement(one: Sequence[float], first: Sequence[float], rows: Resamples, kind: str) -> Difference:
    found = compare(one, first, rows)
    return found if kind == MODERN_FACTS else found.negated()


def _share(gained: Difference | None, loss: float) -> Estimate:
    """How much higher a loss has become, as a share of what it was."""
    if gained is None or loss <= 0:
        return Estimate(0.0, None)
    interval = gained.interval.negated()
    return Estimate(-gained.value / loss, Interval(interval.low / loss, interval.high / loss))
