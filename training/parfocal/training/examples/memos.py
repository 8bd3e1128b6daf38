"""The second job of the demo: a plain note becomes an office memo in the manner of 1995."""

from collections.abc import Iterator, Mapping
from random import Random

from parfocal.training.examples.lexicon import listed
from parfocal.training.examples.names import person
from parfocal.training.examples.rows import Row, Wording

_MONTHS = listed("January February March April May June July August September October November December")
# Subjects of one line share what can be said about them.
_THINGS = (
    "the fax machine",
    "the coffee machine",
    "the new computer",
    "the front door",
    "the lift",
    "the photocopier",
)
_EVENTS = (
    "the staff meeting",
    "the office party",
    "the fire drill",
    "the training course",
    "the lunch break",
)
_PAPERS = ("the monthly report", "the phone list", "the travel budget", "the dress code", "the sales plan")
_NEWS: Mapping[Wording, Mapping[tuple[str, ...], tuple[str, ...]]] = {
    "seen": {
        _THINGS: (
            "is out of order until {day}",
            "was moved to floor {number}",
            "needs a new key",
            "was repaired by {other}",
        ),
        _EVENTS: (
            "was moved to {day}",
            "starts at {number}",
            "is now on floor {number}",
            "will be opened by {other}",
        ),
        _PAPERS: (
            "will be ready on {day}",
            "is now the job of {other}",
            "needs {number} more pages",
            "has to wait until {day}",
        ),
    },
    "new": {
        _THINGS: ("is out of order again", "will be repaired on {day}", "needs {number} new parts"),
        _EVENTS: ("will be moved to floor {number}", "starts on {day}", "is now the job of {other}"),
        _PAPERS: ("is ready now", "was moved to {day}", "has to be opened by {other}"),
    },
}
_NOTES: Mapping[Wording, tuple[str, ...]] = {
    "seen": (
        "{date}. {sender} to {reader}: {news}. {reply}",
        "hi {reader}, {news}. {reply} {sender}, {date}",
        "hello {reader}, {news}. {reply} Yours {sender}. {date}",
        "dear {reader}: {news}. {reply} Greetings, {sender} ({date})",
        "please tell {reader} that {news}. {reply} - {sender}, {date}",
        "{reader} should know that {news}. {reply} It is {date}, I am {sender}",
        "for {reader} ({date}): {news}. {reply} {sender}",
        "to {reader} from {sender}, {date}: {news}. {reply}",
        "{date}: let {reader} know that {news}. {reply} From {sender}",
    ),
    "new": (
        "dear {reader}, {news}. {reply} From {sender}, {date}",
        "{date}: tell {reader} that {news}. {reply} {sender}",
        "for {reader}: {news}. {reply} Yours {sender}, {date}",
    ),
}
_REPLY: Mapping[Wording, tuple[str, ...]] = {
    "seen": ("Please answer.", "Call me back.", "Tell me if that is fine.", "Do write back."),
    "new": ("Please call me back.", "Do answer.", "Please write back."),
}
_NO_REPLY: Mapping[Wording, tuple[str, ...]] = {
    "seen": ("No need to answer.", "Just so you know.", "That is all.", "No answer is needed."),
    "new": ("That is all for now.", "There is no need to answer.", "Just that you know."),
}
_DAYS = listed("Monday Tuesday Wednesday Thursday Friday")
_MEMO = (
    "MEMORANDUM\nTO: {reader}\nFROM: {sender}\nDATE: {date} 1995\nRE: {subject}\n\n"
    "Please be advised that {news}.\n\n{closing}"
)
_CLOSINGS = {True: "Kindly reply by facsimile.", False: "No reply is required."}


def office_memos(count: int, seed: int, wording: Wording = "seen") -> Iterator[Row]:
    """Yields `count` notes with their memos; the same arguments give the same rows."""
    random = Random(f"memo/{seed}/{wording}")
    for _ in range(count):
        yield _memo(random, wording)


def _memo(random: Random, wording: Wording) -> Row:
    subjects, said = random.choice(list(_NEWS[wording].items()))
    subject = random.choice(subjects)
    news = f"{subject} {random.choice(said)}".format(
        day=random.choice(_DAYS), other=person(random), number=random.randrange(1, 10)
    )
    date = f"{random.randrange(1, 29)} {random.choice(_MONTHS)}"
    wants_reply = random.random() < 0.5
    parts = {"reader": person(random), "sender": person(random), "date": date, "news": news}
    reply = random.choice((_REPLY if wants_reply else _NO_REPLY)[wording])
    return Row(
        prompt=random.choice(_NOTES[wording]).format(reply=reply, **parts),
        completion=_MEMO.format(subject=subject, closing=_CLOSINGS[wants_reply], **parts),
    )
