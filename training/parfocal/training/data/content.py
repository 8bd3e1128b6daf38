"""Faults that show only across rows: repeats, contradictions, leaks, too few. Knows no tokens."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from parfocal.training.data.rows import Row
from parfocal.training.findings import Finding, Severity

MIN_ROWS = 10
FEW_ROWS = 50
SMALL_HELD_OUT = 20


def check_repeats(rows: Sequence[Row]) -> Iterator[Finding]:
    """Yields warnings for rows that teach the same twice, or teach two answers to one prompt."""
    if not rows:
        return
    source = rows[0].source
    same = _grouped((row.content_key(), row) for row in rows)
    repeated = [row.line for group in same.values() for row in group[1:]]
    if repeated:
        message = "repeat an earlier row word for word; each counts again in training"
        yield Finding(Severity.WARNING, "DUPLICATE", message, source, tuple(sorted(repeated)))
    contradicting = []
    for group in _grouped((row.prompt_key(), row) for row in rows).values():
        if len({row.answer.strip() for row in group}) > 1:
            contradicting += [row.line for row in group]
    if contradicting:
        message = "give different answers to the same prompt, so no adapter can learn them all"
        yield Finding(Severity.WARNING, "CONTRADICTION", message, source, tuple(sorted(contradicting)))


def check_leaks(train: Sequence[Row], held_out: Sequence[Row]) -> Iterator[Finding]:
    """Yields findings for held-out rows whose prompt is also trained on.

    With the same answer the score would measure memory, which is refused; another answer is a warning.
    """
    trained = _grouped((row.prompt_key(), row) for row in train)
    leaks = [row for row in held_out if row.prompt_key() in trained]
    exact = {
        row for row in leaks if row.answer.strip() in {t.answer.strip() for t in trained[row.prompt_key()]}
    }
    if exact:
        message = (
            "are also in the training data, so the score would measure memory; remove them from one side"
        )
        yield Finding(Severity.ERROR, "OVERLAP", message, leaks[0].source, _lines(exact))
    similar = [row for row in leaks if row not in exact]
    if similar:
        message = "have a prompt that is also trained on, with another answer"
        yield Finding(Severity.WARNING, "PROMPT_OVERLAP", message, similar[0].source, _lines(similar))


def check_counts(train: Sequence[Row], held_out: Sequence[Row], source: str) -> Iterator[Finding]:
    """Yields findings when there are too few rows to train on, or to score with."""
    if len(train) < MIN_ROWS:
        message = f"{len(train)} usable training rows; at least {MIN_ROWS} are needed"
        yield Finding(Severity.ERROR, "TOO_FEW_ROWS", message, source)
    elif len(train) < FEW_ROWS:
        message = f"only {len(train)} training rows; 50 to 100 usually give a first good result"
        yield Finding(Severity.WARNING, "FEW_ROWS", message, source)
    if not held_out:
        message = "no row is held out, so the adapter could not be compared with its base"
        yield Finding(Severity.ERROR, "NO_HELD_OUT", message, source)
    elif len(held_out) < SMALL_HELD_OUT:
        message = (
            f"only {len(held_out)} held-out rows, so scores are coarse: one row is {1 / len(held_out):.0%}"
        )
        yield Finding(Severity.WARNING, "SMALL_HELD_OUT", message, source)


def _grouped(pairs: Iterable[tuple[bytes, Row]]) -> dict[bytes, list[Row]]:
    groups: dict[bytes, list[Row]] = defaultdict(list)
    for key, row in pairs:
        groups[key].append(row)
    return groups


def _lines(rows: Iterable[Row]) -> tuple[int, ...]:
    return tuple(sorted(row.line for row in rows))
