"""Rows as reports name them, and what was answered to each."""

from collections.abc import Sequence

from parfocal.training.data import Sample
from parfocal.training.figures import Item, Measured
from parfocal.training.metrics import Answer


def items_of(samples: Sequence[Sample]) -> tuple[Item, ...]:
    """The rows as reports name them; those that ask the same are one cluster. A whole text asks nothing."""
    return tuple(
        Item(
            sample.row.source,
            sample.row.line,
            sample.row.slice,
            sample.row.prompt_key() if sample.row.prompt else sample.row.content_key(),
            "\n".join(turn.content for turn in sample.row.prompt),
            sample.row.answer,
        )
        for sample in samples
    )


def answers_to(items: Sequence[Item], one: Measured) -> list[Answer]:
    """What an arm wrote to the first of the items, as metrics judge it."""
    pairs = zip(items, one.written, strict=False)
    return [Answer(item.prompt, wrote.text, item.true) for item, wrote in pairs]
