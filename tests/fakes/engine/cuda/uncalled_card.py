"""A card that is there so that a base can be loaded for it, and of which nothing else is asked."""

from collections.abc import Callable
from typing import Any

from parfocal.engine.backends.cuda import Card
from parfocal.engine.lora import PlainCopies


class UncalledCard:
    """Its graphs, its clock and its memory: none is ever used."""

    def capture(self, run: Callable[[], object]) -> Any:
        """Fails."""
        raise AssertionError("nothing is captured")

    def seconds(self, work: Callable[[], object]) -> float:
        """Fails."""
        raise AssertionError("nothing is timed")

    def most_bytes(self, work: Callable[[], object]) -> int:
        """Fails."""
        raise AssertionError("nothing is measured")

    @classmethod
    def as_card(cls) -> Card:
        """The card."""
        return Card(4, PlainCopies(), cls(), cls, cls())
