"""Rewards of users' own: some that work, and some that do what users' code does."""

import time
from collections.abc import Mapping
from typing import Any

NUMBER = 3


def length(prompt: str, answer: str, item: Mapping[str, Any]) -> float:
    """How long the answer is."""
    return len(answer)


def length_and_goal(prompt: str, answer: str, item: Mapping[str, Any]) -> float:
    """How long it is, and what the row says."""
    return float(len(answer) + item["goal"])


def capitals(prompt: str, answer: str, item: Mapping[str, Any]) -> float:
    """The share of the answer that is capital letters."""
    return sum("A" <= letter <= "Z" for letter in answer) / max(1, len(answer))


def raises(prompt: str, answer: str, item: Mapping[str, Any]) -> float:
    """Raises."""
    return float(item["nowhere"])


def leaves(prompt: str, answer: str, item: Mapping[str, Any]) -> float:
    """Ends its process, or means to."""
    raise SystemExit(0)


def not_a_number(prompt: str, answer: str, item: Mapping[str, Any]) -> float:
    """Gives no number."""
    return float("nan")


def nothing(prompt: str, answer: str, item: Mapping[str, Any]) -> None:
    """Gives nothing."""


def hangs(prompt: str, answer: str, item: Mapping[str, Any]) -> float:
    """Takes longer than anybody waits."""
    time.sleep(30)
    return 0.0


class Failing:
    """Works for some answers, and then no more, until it is mended."""

    def __init__(self) -> None:
        self.left = 0

    def __call__(self, prompt: str, answer: str, item: Mapping[str, Any]) -> float:
        """As `capitals`, while it works."""
        self.left -= 1
        if self.left == 0:
            raise OSError("the compiler is gone")
        return capitals(prompt, answer, item)


failing = Failing()
