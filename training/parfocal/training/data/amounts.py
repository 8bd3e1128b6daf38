"""Whether there are rows enough to train on, to choose on and to report on. Knows no tokens."""

from collections.abc import Iterator, Sequence

from parfocal.training.data.rows import Row
from parfocal.training.findings import Finding, Severity

MIN_ROWS = 10
FEW_ROWS = 50
SMALL_HELD_OUT = 10


def check_counts(
    train: Sequence[Row], held_out: Sequence[Row], source: str, *, no_choice: bool = False
) -> Iterator[Finding]:
    """Yields findings when rows are too few to train on or to score with, or none is left to choose on."""
    yield from check_rows(len(train), source)
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


def check_rows(rows: int, source: str) -> Iterator[Finding]:
    """Yields a finding when so many rows are too few to train on."""
    if rows < MIN_ROWS:
        message = f"{rows} usable training rows; at least {MIN_ROWS} are needed"
        yield Finding(Severity.ERROR, "TOO_FEW_ROWS", message, source)
    elif rows < FEW_ROWS:
        message = f"only {rows} training rows; 50 to 100 usually give a first good result"
        yield Finding(Severity.WARNING, "FEW_ROWS", message, source)
