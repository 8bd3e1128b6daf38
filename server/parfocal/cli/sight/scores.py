"""A version's evaluation beside its base's and that of the version before, for people."""

from collections.abc import Iterator, Sequence

from parfocal.cli.display import digest_text, say, show_heading, show_pairs, show_table, shown_width
from parfocal.cli.sight.cutting import first, shortened
from parfocal.registry import Evaluation, Version
from parfocal.registry.insight import Measured, Measurement, measurements

_MOST = 24
_TABLE_WIDTH = 100


def show_scores(evaluation: Evaluation, previous: Version | None) -> None:
    """Prints every metric: a table where there is room for one, else a line each."""
    rows = shortened(digest_text(evaluation.data_digest), 80)
    show_heading(f"Evaluation on {evaluation.examples} held-out examples ({rows})")
    before = None if previous is None else previous.manifest.evaluation
    found, more = first(measurements(evaluation, before), _MOST, "metrics")
    if shown_width() >= _TABLE_WIDTH:
        _show_table(found, previous)
    else:
        show_pairs([(shortened(each.title, 60), "; ".join(_told(each, previous))) for each in found])
    if more:
        say(more)
    note = _why_not_compared(evaluation, previous)
    if note:
        say(note)


def measured_text(measured: Measured | None) -> str:
    """A value with its interval.

    >>> measured_text(Measured(0.25, 0.2, 0.3))
    '0.25 [0.2, 0.3]'
    """
    if measured is None:
        return ""
    if measured.low is None and measured.high is None:
        return f"{measured.value:.4g}"
    low, high = ("?" if end is None else f"{end:.4g}" for end in (measured.low, measured.high))
    return f"{measured.value:.4g} [{low}, {high}]"


def change_text(new: float | None, old: float | None) -> str:
    """How much a number has changed, with its sign.

    >>> change_text(0.25, 0.5)
    '-0.25'
    """
    return "" if new is None or old is None else f"{new - old:+.4g}"


def _show_table(found: Sequence[Measurement], previous: Version | None) -> None:
    has_base = any(each.base for each in found)
    has_previous = previous is not None and any(each.previous for each in found)
    headings = ["METRIC", "VALUE"]
    headings += ["BASE", "CHANGE"] if has_base else []
    headings += [f"VERSION {previous.version}", "CHANGE"] if previous is not None and has_previous else []
    rows = []
    for each in found:
        row = [shortened(each.title, 60), measured_text(each.value)]
        row += [measured_text(each.base), _change(each.value, each.base)] if has_base else []
        row += [measured_text(each.previous), _change(each.value, each.previous)] if has_previous else []
        rows.append(row)
    show_table(headings, rows)


def _told(each: Measurement, previous: Version | None) -> Iterator[str]:
    yield measured_text(each.value) or "not recorded"
    if each.base is not None:
        yield f"base {measured_text(each.base)} ({_change(each.value, each.base)})"
    if each.previous is not None and previous is not None:
        then = measured_text(each.previous)
        yield f"version {previous.version} {then} ({_change(each.value, each.previous)})"


def _change(new: Measured | None, old: Measured | None) -> str:
    return change_text(None if new is None else new.value, None if old is None else old.value)


def _why_not_compared(evaluation: Evaluation, previous: Version | None) -> str:
    if previous is None:
        return ""
    before = previous.manifest.evaluation
    if before is None:
        return f"No evaluation of version {previous.version} is recorded"
    if not evaluation.data_digest or before.data_digest != evaluation.data_digest:
        return f"Version {previous.version} was measured on other rows: its figures stand in parfocal diff"
    return ""
