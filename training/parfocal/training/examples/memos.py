"""The second job: a plain note becomes an office memo in the manner of 1995."""

from collections.abc import Iterator
from random import Random

from parfocal.training.examples import memo_wording as words
from parfocal.training.examples.names import person
from parfocal.training.examples.phrasing import Wording
from parfocal.training.examples.rows import Row

HEADING = "MEMORANDUM"
OPENING = "Please be advised that "
YEAR = " 1995"
CLOSINGS = {True: "Kindly reply by facsimile.", False: "No reply is required."}
_MEMO = (
    f"{HEADING}\nTO: {{reader}}\nFROM: {{sender}}\nDATE: {{date}}{YEAR}\nRE: {{subject}}\n\n"
    f"{OPENING}{{news}}.\n\n{{closing}}"
)


def office_memos(count: int, seed: int, wording: Wording = "seen") -> Iterator[Row]:
    """Yields `count` notes with their memos; the same arguments give the same rows."""
    random = Random(f"memo/{seed}/{wording}")
    for _ in range(count):
        yield _memo(random, wording)


def _memo(random: Random, wording: Wording) -> Row:
    subjects, said = random.choice(list(words.NEWS.items()))
    subject = random.choice(subjects)
    news = said.say(random, wording).format(
        day=random.choice(words.DAYS), other=person(random, wording), number=random.randrange(1, 10)
    )
    wants_reply = random.random() < 0.5
    facts = {
        "reader": person(random, wording),
        "sender": person(random, wording),
        "date": f"{random.randrange(1, 29)} {random.choice(words.MONTHS)}",
        "news": f"{subject} {news}",
    }
    reply = words.REPLIES[wants_reply].say(random, wording)
    return Row(
        prompt=words.NOTES.say(random, wording).format(reply=reply, **facts),
        completion=_MEMO.format(subject=subject, closing=CLOSINGS[wants_reply], **facts),
    )
