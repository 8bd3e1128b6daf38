"""Faults that show only across rows: repeats, contradictions, too few. Knows no tokens."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from parfocal.training.data.lessons import lessons
from parfocal.training.data.rows import Row
from parfocal.training.findings import Finding, Severity

MIN_ROWS = 10
FEW_ROWS = 50
SMALL_HELD_OUT = 10


def check_repeats(rows: Sequence[Row]) -> Iterator[Finding]:
    """Yields warnings for rows that teach the same twice, or teach two answers to one prompt."""
    if not rows:
        return
    source = rows[0].source
    same = _grouped((row.content_key(), row) for row in rows)
    repeated = {row.line for group in same.values() for row in group[1:]}
    if repeated:
        message = "repeat an earlier row word for word; each counts again in training"
        yield Finding(Severity.WARNING, "DUPLICATE", message, source, tuple(sorted(repeated)))
    again, contradicting = _answers_met_before(rows)
    if again - repeated:
        message = (
            "teach answers that an earlier row teaches too, as chats unrolled turn by turn do; each counts "
            "again in training, unless its weight is 0"
        )
        yield Finding(Severity.WARNING, "REPEATED_ANSWER", message, source, tuple(sorted(again - repeated)))
    if contradicting:
        message = "give different answers to the same prompt, so no adapter can learn them all"
        yield Finding(Severity.WARNING, "CONTRADICTION", message, source, tuple(sorted(contradicting)))


def check_counts(
    train: Sequence[Row], held_out: Sequence[Row], source: str, *, no_choice: bool = False
) -> Iterator[Finding]:
    """Yields findings when rows are too few to train on or to score with, or none is left to choose on."""
    if len(train) < MIN_ROWS:
        message = f"{len(train)} usable training rows; at least {MIN_ROWS} are needed"
        yield Finding(Severity.ERROR, "TOO_FEW_ROWS", message, source)
    elif len(train) < FEW_ROWS:
        message = f"only {len(train)} training rows; 50 to 100 usually give a first good result"
        yield Finding(Severity.WARNING, "FEW_ROWS", message, source)
    if not held_out:
        message = (
            "no row can be held out, as too many share what they teach, so the adapter could not be compared "
            "with its base; give rows of their own with --held-out"
        )
        yield Finding(Severity.ERROR, "NO_HELD_OUT", message, source)
    elif len(held_out) < SMALL_HELD_OUT:
        message = (
            f"only {len(held_out)} held-out rows, so scores are coarse: one row is {1 / len(held_out):.0%}"
        )
        yield Finding(Severity.WARNING, "SMALL_HELD_OUT", message, source)
    if no_choice:
        message = (
            "no rows are left to choose on, and the held-out ones are not used for that: the run has its "
            "usual length, and the last adapter is kept; give rows to choose on with --validation"
        )
        yield Finding(Severity.WARNING, "NO_VALIDATION", message, source)


def _answers_met_before(rows: Sequence[Row]) -> tuple[set[int], set[int]]:
    """The lines that teach an answer once more, and those that teach one of several to a prompt."""
    by_prompt: dict[bytes, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for lesson in lessons(row):
            by_prompt[lesson.prompt][row.turns[lesson.turn].content.strip()].append(row.line)
    again = {line for answers in by_prompt.values() for lines in answers.values() for line in lines[1:]}
    several = [answers for answers in by_prompt.values() if len(answers) > 1]
    return again, {line for answers in several for lines in answers.values() for line in lines}


def _grouped(pairs: Iterable[tuple[bytes, Row]]) -> dict[bytes, list[Row]]:
    groups: dict[bytes, list[Row]] = defaultdict(list)
    for key, row in pairs:
        groups[key].append(row)
    return groups
