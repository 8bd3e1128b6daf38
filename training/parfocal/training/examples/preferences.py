"""Pairs of replies to a customer: the one that a shop would rather send, and one that it would not."""

from collections.abc import Iterator, Mapping
from random import Random
from typing import TypedDict

from parfocal.training.examples.names import order_number, person, product
from parfocal.training.examples.phrasing import Wording

QUESTIONS: Mapping[Wording, tuple[str, ...]] = {
    "seen": (
        "Where is my order {order}? {customer}",
        "I bought a {product}, order {order}. When does it come? {customer}",
        "Hello, my {product} ({order}) is not here yet. {customer}",
        "Can you tell me where the {product} is? The number is {order}. {customer}",
        "Order {order}: I still wait for my {product}. {customer}",
        "My name is {customer}. I want to know when the {product} comes, order {order}.",
    ),
    "new": (
        "{customer} here. Is there any news of order {order}, a {product}?",
        "Please tell me when I get the {product} of order {order}. {customer}",
        "I have no {product} yet, and order {order} is a week old. {customer}",
    ),
}
# A shop prefers what names the customer and the order and offers help; the curt ones are about as long.
_BETTER = (
    "Dear {customer}, thank you for asking. Order {order} is on its way to you.",
    "Dear {customer}, your {product} will be with you soon. Thank you for waiting.",
    "Dear {customer}, we are sorry. We will write to you about order {order} today.",
)
_WORSE = (
    "We do not know. Ask again in a week, and do not write to us before that, please.",
    "It is late, as you can see. There is nothing that we can do about it here today.",
    "Read the page with the rules. All that you have to know about orders is there.",
)


class PreferencePair(TypedDict):
    """One prompt, the answer that is preferred, and one that is not."""

    prompt: str
    chosen: str
    rejected: str


def preferred_replies(count: int, seed: int, wording: Wording = "seen") -> Iterator[PreferencePair]:
    """Yields `count` pairs; the same arguments give the same ones."""
    random = Random(f"replies/{seed}/{wording}")
    for _ in range(count):
        facts = {
            "customer": person(random, made_up=False),
            "order": order_number(random),
            "product": product(random, made_up=False),
        }
        yield PreferencePair(
            prompt=random.choice(QUESTIONS[wording]).format(**facts),
            chosen=random.choice(_BETTER).format(**facts),
            rejected=random.choice(_WORSE).format(**facts),
        )
