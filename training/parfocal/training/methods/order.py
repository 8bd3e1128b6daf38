"""The order in which rows are learnt: the whole run laid out in advance, from the seed alone.

The transformers trainer draws its length-grouped order from the global random state, so a resumed run would
see other batches than one that was never stopped (transformers 5.23, `LengthGroupedSampler`).
"""

import random
from collections.abc import Iterator, Sequence
from itertools import chain, islice

_WINDOW = 8  # batches among which rows are sorted by length: less padding, still well mixed


def row_order(lengths: Sequence[int], batch_size: int, steps: int, seed: int) -> list[int]:
    """Draws `steps * batch_size` indices into `lengths`: the rows of step 1, of step 2, …

    Every row comes once before any comes twice, up to the rows that fill an epoch's last batch, and no batch
    holds a row twice unless there are fewer rows than that. Rows of a batch are of similar length, in rising
    order; the first batch has the longest row of all, so that memory runs out immediately or not at all.
    """
    chance = random.Random(seed)
    epochs = _batches(lengths, batch_size, chance) if len(lengths) >= batch_size else _tiny(lengths, chance)
    return list(islice(chain.from_iterable(epochs), steps * batch_size))


def step_sizes(lengths: Sequence[int], micro_batch: int, batch_size: int) -> list[int]:
    """How many tokens each step computes, padding included, for rows of `lengths` in the order they come."""
    sizes = []
    for at in range(0, len(lengths), batch_size):
        rows = lengths[at : at + batch_size]
        passes = [rows[first : first + micro_batch] for first in range(0, len(rows), micro_batch)]
        sizes.append(sum(len(each) * max(each) for each in passes))
    return sizes


def _batches(lengths: Sequence[int], batch_size: int, chance: random.Random) -> Iterator[list[int]]:
    """Yields batches epoch by epoch; a remainder that does not fill a batch begins the next epoch."""
    lead: int | None = max(range(len(lengths)), key=lambda index: lengths[index])
    left: list[int] = []
    while True:
        epoch = chance.sample(range(len(lengths)), len(lengths))
        if lead is not None:
            epoch.sort(key=lambda index: index != lead)
        if left:
            fill = [index for index in epoch if index not in left][: batch_size - len(left)]
            yield sorted([*left, *fill], key=lambda index: lengths[index])
            epoch = [index for index in epoch if index not in fill]
        full = len(epoch) - len(epoch) % batch_size
        for at in range(0, full, _WINDOW * batch_size):
            window = epoch[at : min(full, at + _WINDOW * batch_size)]
            yield from _grouped(window, lengths, batch_size, chance, lead)
            lead = None
        left = epoch[full:]


def _tiny(lengths: Sequence[int], chance: random.Random) -> Iterator[list[int]]:
    """Yields epochs of fewer rows than a batch has; such batches must repeat some."""
    while True:
        yield chance.sample(range(len(lengths)), len(lengths))


def _grouped(
    window: list[int], lengths: Sequence[int], batch_size: int, chance: random.Random, lead: int | None
) -> list[list[int]]:
    """The rows of `window` in batches of similar length, in any order but `lead` in the first."""
    ordered = sorted(window, key=lambda index: lengths[index])
    batches = [ordered[at : at + batch_size] for at in range(0, len(ordered), batch_size)]
    chance.shuffle(batches)
    batches.sort(key=lambda batch: lead is not None and lead not in batch)
    return batches
