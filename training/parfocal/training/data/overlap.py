"""Held-out rows that training has seen: their answers word for word, their prompts, or nearly all of them."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from parfocal.training.data.families import nested
from parfocal.training.data.lessons import Lesson, lesson_reader
from parfocal.training.data.likeness import near_duplicates, told_run
from parfocal.training.data.rows import Row, normalised
from parfocal.training.findings import Finding, Severity

Checked = tuple[tuple[Row, ...], tuple[Finding, ...]]


def check_overlap(known: Sequence[Row], held_out: Sequence[Row]) -> Checked:
    """What of `held_out`, a file of its own, may be scored beside the rows `known`, and what was found.

    A row all of whose answers are known would measure memory and is refused. Of a row with some known answers
    the others are scored. A known prompt with another answer is a warning.
    """
    if not held_out:
        return (), ()
    source = held_out[0].source
    read = lesson_reader((*known, *held_out))
    answers: dict[bytes, set[bytes]] = defaultdict(set)
    for row in known:
        for lesson in read(row):
            answers[lesson.prompt].add(lesson.answer)

    def is_known(lesson: Lesson) -> bool:
        return lesson.answer in answers.get(lesson.prompt, ())

    inside = _inside(known, held_out)
    whole, partly, prompts, kept = [], [], [], []
    for at, row in enumerate(held_out):
        lessons = read(row)
        seen = frozenset(lesson.turn for lesson in lessons if is_known(lesson))
        if at in inside or len(seen) == len(lessons):
            whole.append(row.line)
        elif seen:
            partly.append(row.line)
        elif any(lesson.prompt in answers for lesson in lessons):
            prompts.append(row.line)
        kept.append(row.without_learning(seen) if 0 < len(seen) < len(lessons) else row)
    return tuple(kept), tuple(_overlaps(source, whole, partly, prompts))


def check_likeness(known: Sequence[Row], held_out: Sequence[Row]) -> Iterator[Finding]:
    """Yields a warning for held-out rows that are nearly the same as a row that training sees."""
    pairs = near_duplicates(known, held_out)
    if not pairs:
        return
    first = min(pairs)
    here, there = held_out[first], known[pairs[first]]
    message = (
        "are nearly the same as rows that training sees, so the score may measure memory; "
        f"first: {here.source} line {here.line} is like {there.source} line {there.line}"
        f"{told_run(_text(here), _text(there))}"
    )
    lines = tuple(sorted(held_out[at].line for at in pairs))
    yield Finding(Severity.WARNING, "NEAR_DUPLICATE", message, here.source, lines)


def _text(row: Row) -> str:
    return normalised(" ".join(turn.said() for turn in row.talk))


def _overlaps(
    source: str, whole: Sequence[int], partly: Sequence[int], prompts: Sequence[int]
) -> Iterator[Finding]:
    if whole:
        message = (
            "are also among the rows that training sees, so the score would measure memory; remove them from "
            "one side"
        )
        yield Finding(Severity.ERROR, "OVERLAP", message, source, tuple(whole))
    if partly:
        message = "have answers that training sees too; only their other answers are scored"
        yield Finding(Severity.WARNING, "PARTLY_KNOWN", message, source, tuple(partly))
    if prompts:
        message = "have a prompt that is also trained on, with another answer"
        yield Finding(Severity.WARNING, "PROMPT_OVERLAP", message, source, tuple(prompts))


def _inside(known: Sequence[Row], held_out: Sequence[Row]) -> set[int]:
    """The held-out raw rows whose text a known raw row begins with, wherever that one is cut."""
    start = len(known)
    found: set[int] = set()
    for inner, outer in nested((*known, *held_out)):
        if any(at < start for at in outer):
            found.update(at - start for at in inner if at >= start)
    return found
