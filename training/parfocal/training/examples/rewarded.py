"""Questions of customers, and a reward for replies that say whom and what they are about, in few words."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import Any, TypedDict

from parfocal.training.examples.names import order_number, person, product
from parfocal.training.examples.phrasing import Wording
from parfocal.training.examples.preferences import QUESTIONS

_MOST_WORDS = 16


class RewardedQuestion(TypedDict):
    """A prompt without an answer, and what a good reply names."""

    prompt: str
    customer: str
    order: str


def rewarded_questions(count: int, seed: int, wording: Wording = "seen") -> Iterator[RewardedQuestion]:
    """Yields `count` questions; the same arguments give the same ones."""
    random = Random(f"questions/{seed}/{wording}")
    for _ in range(count):
        customer, order = person(random), order_number(random)
        prompt = random.choice(QUESTIONS[wording]).format(
            customer=customer, order=order, product=product(random)
        )
        yield RewardedQuestion(prompt=prompt, customer=customer, order=order)


def names_the_case(prompt: str, answer: str, item: Mapping[str, Any]) -> float:
    """From 0 to 1: 0.4 each for naming the customer and the order, 0.2 for few words.

    >>> names_the_case("", "Dear Ada, order 7 is on its way.", {"customer": "Ada", "order": "7"})
    1.0
    """
    named = 0.4 * (item["customer"] in answer) + 0.4 * (item["order"] in answer)
    return round(named + 0.2 * (0 < len(answer.split()) <= _MOST_WORDS), 3)
