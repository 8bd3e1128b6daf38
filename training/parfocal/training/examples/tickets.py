"""The third job: a ticket is sorted into a queue and given a priority, written `billing / high`."""

from collections.abc import Iterator
from random import Random

from parfocal.training.examples import ticket_wording as words
from parfocal.training.examples.fillings import sentence
from parfocal.training.examples.names import order_number, person, product
from parfocal.training.examples.phrasing import Phrases, Wording
from parfocal.training.examples.rows import Row

_FRAMED = 0.8  # of tickets that have a header, and of those that have a footer
_TOPIC_FIRST = 0.75


def support_tickets(count: int, seed: int, wording: Wording = "seen") -> Iterator[Row]:
    """Yields `count` tickets with their labels; the same arguments give the same rows."""
    random = Random(f"ticket/{seed}/{wording}")
    for _ in range(count):
        yield _ticket(random, wording)


def _ticket(random: Random, wording: Wording) -> Row:
    facts = {
        "customer": person(random, wording),
        "product": product(random, wording),
        "order": order_number(random),
        "number": str(random.randrange(2, 10_000)),
    }

    def say(phrases: Phrases) -> str:
        return sentence(phrases, random, wording, facts)

    topic, priority = random.choice(sorted(words.TOPICS)), random.choice(sorted(words.PRIORITIES))
    said = [say(words.TOPICS[topic]), say(words.PRIORITIES[priority])]
    if random.random() >= _TOPIC_FIRST:
        said.reverse()
    header = say(words.HEADERS) if random.random() < _FRAMED else ""
    footer = say(words.FOOTERS) if random.random() < _FRAMED else ""
    text = f"{header}{' '.join(said)}{footer}".replace("/", "\n")
    return Row(prompt=text, completion=f"{topic} / {priority}")
