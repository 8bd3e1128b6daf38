"""Patterns of sentences with alternatives, and their split: some are for training, others only for tests.

`It is [very|too] late.` stands for two sentences. A pattern is a family: all that can be said by it are on
the same side of the split.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from random import Random
from typing import Literal

# `seen` wording is what training uses; `new` wording is kept for evaluation: other sentences, same job.
Wording = Literal["seen", "new"]
_ALTERNATIVES = re.compile(r"\[([^\]]*)\]")


@dataclass(frozen=True, slots=True)
class Phrases:
    """Patterns that say the same thing: those of training, and those that training never shows."""

    seen: tuple[str, ...]
    new: tuple[str, ...]

    def of(self, wording: Wording) -> tuple[str, ...]:
        """The patterns of one side."""
        return self.seen if wording == "seen" else self.new

    def say(self, random: Random, wording: Wording) -> str:
        """A sentence by one of the patterns, all as likely; slots in braces are left as they are."""
        return said(random, random.choice(self.of(wording)))


def lines(text: str) -> tuple[str, ...]:
    """The patterns of a text, one a line; outer spaces and empty lines are left out."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def said(random: Random, pattern: str) -> str:
    """One sentence of a pattern."""
    return _ALTERNATIVES.sub(lambda found: random.choice(found[1].split("|")), pattern)


def every(patterns: Sequence[str]) -> Iterator[str]:
    """Yields all sentences that can be said by the patterns."""
    for pattern in patterns:
        parts = [part.split("|") if n % 2 else [part] for n, part in enumerate(_ALTERNATIVES.split(pattern))]
        yield from ("".join(chosen) for chosen in product(*parts))
