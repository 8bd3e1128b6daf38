"""The first job: a customer's e-mail becomes one line of JSON."""

import json
from collections.abc import Iterator
from random import Random

from parfocal.training.examples import email_wording as words
from parfocal.training.examples.fillings import sentence
from parfocal.training.examples.names import order_number, person, product
from parfocal.training.examples.phrasing import Phrases, Wording
from parfocal.training.examples.rows import Row

FIELDS = ("customer", "order", "product", "issue", "urgent")
_ASIDE = 0.2
_PURCHASE_FIRST = 0.75
_NOTHING_SAID = 0.2  # of e-mails that are not urgent


def support_emails(count: int, seed: int, wording: Wording = "seen") -> Iterator[Row]:
    """Yields `count` e-mails with their records; the same arguments give the same rows."""
    random = Random(f"support/{seed}/{wording}")
    for _ in range(count):
        yield _email(random, wording)


def _email(random: Random, wording: Wording) -> Row:
    facts = {
        "customer": person(random, wording),
        "order": order_number(random),
        "product": product(random, wording),
    }
    issue = random.choice(sorted(words.ISSUES))
    urgent = random.random() < 0.5

    def say(phrases: Phrases) -> str:
        return sentence(phrases, random, wording, facts)

    said = [say(words.PURCHASES), say(words.ISSUES[issue])]
    if random.random() >= _PURCHASE_FIRST:
        said.reverse()
    if urgent or random.random() >= _NOTHING_SAID:
        said.append(say(words.URGENT if urgent else words.CALM))
    if random.random() < _ASIDE:
        said.insert(random.randrange(len(said) + 1), say(words.ASIDES))
    opening = say(words.OPENINGS)
    signature = say(words.SIGNATURES).replace("/", "\n")
    record = {**facts, "issue": issue, "urgent": urgent}
    return Row(prompt=f"{opening}\n{' '.join(said)}\n{signature}", completion=json.dumps(record))
