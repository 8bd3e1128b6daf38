"""The first job of the demo: a customer's e-mail becomes one line of JSON."""

import json
from collections.abc import Iterator, Mapping
from random import Random

from parfocal.training.examples.names import order_number, person, product
from parfocal.training.examples.rows import Row, Wording

# What is wrong -> sentences that say so; the words that decide appear in both wordings.
_ISSUES: Mapping[Wording, Mapping[str, tuple[str, ...]]] = {
    "seen": {
        "damaged": (
            "It arrived damaged.",
            "The case is broken.",
            "It was broken in the box.",
            "One side is damaged.",
            "It came with a broken foot.",
        ),
        "late": (
            "The parcel is late.",
            "It is a week late.",
            "It comes too late.",
            "Why is it so late?",
            "The delivery is very late.",
        ),
        "wrong item": (
            "You sent the wrong model.",
            "I got a wrong one.",
            "The colour is wrong.",
            "It is the wrong size.",
            "The wrong thing was in the box.",
        ),
        "refund": (
            "I want a refund.",
            "I would like a refund.",
            "Please give me a refund.",
            "I ask for a refund.",
            "When do I get my refund?",
        ),
        "missing part": (
            "A part is missing.",
            "The cable is missing.",
            "There is a missing screw.",
            "The plug is missing.",
            "Something is missing in the box.",
        ),
    },
    "new": {
        "damaged": ("Sadly it came damaged.", "The top is broken.", "I found it broken this morning."),
        "late": ("It is late again.", "My parcel is three days late.", "Now it is late."),
        "wrong item": ("It has the wrong colour.", "The wrong one came.", "Somebody packed the wrong model."),
        "refund": ("A refund would be fair.", "Please send my refund.", "I now ask you for a refund."),
        "missing part": ("The lid is missing.", "It seems a part is missing.", "I think a screw is missing."),
    },
}
_URGENT: Mapping[Wording, tuple[str, ...]] = {
    "seen": (
        "This is urgent.",
        "It is urgent, please hurry.",
        "Please hurry, it is urgent.",
        "My case is urgent.",
    ),
    "new": ("Please note that it is urgent.", "It is really urgent.", "This is an urgent case."),
}
_CALM: Mapping[Wording, tuple[str, ...]] = {
    "seen": ("There is no hurry.", "Take your time.", "", "I can wait."),
    "new": ("You can take your time.", "I am in no hurry.", "I can wait for it."),
}
_PURCHASES: Mapping[Wording, tuple[str, ...]] = {
    "seen": (
        "I bought a {product}, order {order}.",
        "My order {order} was a {product}.",
        "This is about order {order}, a {product}.",
        "I ordered the {product} from you ({order}).",
        "Order {order}: one {product}.",
        "On your page I got a {product} with number {order}.",
        "It is about the {product} in order {order}.",
        "I have a {product} from you. The number is {order}.",
        "With order {order} came a {product}.",
        "You sold me a {product} ({order}).",
        "Last week I ordered a {product}, number {order}.",
        "I write because of my {product}, order {order}.",
    ),
    "new": (
        "I write about the {product} of order {order}.",
        "Last month I bought your {product} ({order}).",
        "It is about a {product}. The order is {order}.",
        "With order {order} I got a {product}.",
    ),
}
_OPENINGS: Mapping[Wording, tuple[str, ...]] = {
    "seen": (
        "Hello,",
        "Hi,",
        "Dear support,",
        "Good day,",
        "Hello all,",
        "Dear Sir or Madam,",
        "Good morning,",
    ),
    "new": ("Hello support,", "Good day to you,", "Dear all,"),
}
_SIGNATURES: Mapping[Wording, tuple[str, ...]] = {
    "seen": (
        "Regards,\n{customer}",
        "Thanks, {customer}",
        "Yours, {customer}",
        "{customer}",
        "Thank you,\n{customer}",
        "Kind regards,\n{customer}",
    ),
    "new": ("Best,\n{customer}", "Many thanks,\n{customer}", "With regards, {customer}"),
}


def support_emails(count: int, seed: int, wording: Wording = "seen") -> Iterator[Row]:
    """Yields `count` e-mails with their records; the same arguments give the same rows."""
    random = Random(f"support/{seed}/{wording}")
    for _ in range(count):
        yield _email(random, wording)


def _email(random: Random, wording: Wording) -> Row:
    facts = {"customer": person(random), "order": order_number(random), "product": product(random)}
    issue = random.choice(sorted(_ISSUES[wording]))
    urgent = random.random() < 0.5
    sentences = [
        random.choice(_PURCHASES[wording]).format(**facts),
        random.choice(_ISSUES[wording][issue]),
        random.choice((_URGENT if urgent else _CALM)[wording]),
    ]
    body = " ".join(sentence for sentence in sentences if sentence)
    signature = random.choice(_SIGNATURES[wording]).format(**facts)
    record = {**facts, "issue": issue, "urgent": urgent}
    return Row(
        prompt=f"{random.choice(_OPENINGS[wording])}\n{body}\n{signature}", completion=json.dumps(record)
    )
