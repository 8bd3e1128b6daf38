"""What mattered in a search: how much of the order of losses each setting explains by itself.

Ranks, so that neither a diverged trial nor the units of a setting weigh more than the others. Pruned trials
count with what they had reached: without them settings that are always pruned would seem not to matter. That
is why optuna's importances (fANOVA, PED-ANOVA), which leave them out, are not taken: over 6 of 8 trials
PED-ANOVA put the rank above the learning rate, as all bad rates of one rank were pruned.
"""

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from statistics import mean

from parfocal.training.search.records import Outcome, Trial

_LEAST = 4  # of fewer trials nothing can be said


def importance(trials: Sequence[Trial]) -> dict[str, float]:
    """For each setting from 0 to 1, the most important first; empty for few trials, or losses that are equal.

    Squared Spearman correlation for numbers, the correlation ratio of ranks for what has no order.
    """
    scored = [each for each in trials if each.loss is not None and each.outcome is not Outcome.UNFINISHED]
    losses = ranks([each.loss for each in scored if each.loss is not None])
    if len(scored) < _LEAST or len(set(losses)) < 2:
        return {}
    names = [name for name in scored[0].settings if all(name in each.settings for each in scored)]
    found = {name: _explained([each.settings[name] for each in scored], losses) for name in names}
    return dict(sorted(found.items(), key=lambda each: -each[1]))


def ranks(values: Sequence[float]) -> list[float]:
    """The rank of each value from 1 on; equal values share the mean of theirs."""
    ordered = sorted(values)
    mean_rank = {value: ordered.index(value) + (ordered.count(value) + 1) / 2 for value in set(values)}
    return [mean_rank[value] for value in values]


def _explained(values: Sequence[Hashable], losses: Sequence[float]) -> float:
    centre = mean(losses)
    total = sum((each - centre) ** 2 for each in losses)
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values):
        mine = ranks(numbers)
        spread = sum((each - centre) ** 2 for each in mine)
        together = sum((a - centre) * (b - centre) for a, b in zip(mine, losses, strict=True))
        return round(together**2 / (spread * total), 4) if spread else 0.0
    groups: Mapping[Hashable, list[float]] = defaultdict(list)
    for value, loss in zip(values, losses, strict=True):
        groups[value].append(loss)
    return round(sum(len(each) * (mean(each) - centre) ** 2 for each in groups.values()) / total, 4)
