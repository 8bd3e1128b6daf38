"""What training found in the rows, as a version records it, for people to read."""

from collections.abc import Iterator, Mapping, Sequence

from parfocal.cli.display import say, show_heading, show_pairs
from parfocal.cli.sight.cutting import first, shortened
from parfocal.registry.values import JSON

# The hyper-parameter that training records it under.
DATA_REPORT = "data_report"
_MOST_FINDINGS = 20
_MOST_LINES = 5


def show_data_report(recorded: JSON) -> None:
    """Prints counts and findings; nothing of what is no report."""
    if not isinstance(recorded, Mapping):
        return
    counts, findings = recorded.get("counts"), recorded.get("findings")
    pairs = [*_counted(counts), *_found(findings)]
    if not pairs:
        return
    show_heading("Data report")
    shown, more = first(pairs, _MOST_FINDINGS + 1, "lines")
    show_pairs([(shortened(name, 60), shortened(text)) for name, text in shown])
    if more:
        say(more)


def _counted(counts: JSON) -> Iterator[tuple[str, str]]:
    if isinstance(counts, Mapping) and counts:
        told = (f"{name.replace('_', ' ')} {value}" for name, value in counts.items())
        yield "counts", ", ".join(told)


def _found(findings: JSON) -> Iterator[tuple[str, str]]:
    """Each finding with how many rows have it, and the first of their lines."""
    if not isinstance(findings, Sequence) or isinstance(findings, str):
        return
    for each in findings:
        if isinstance(each, Mapping):
            yield str(each.get("severity", "")), _words(each)


def _words(finding: Mapping[str, JSON]) -> str:
    lines, count = finding.get("lines"), finding.get("count")
    if not isinstance(lines, Sequence) or isinstance(lines, str) or not lines:
        return str(finding.get("code"))
    named = ", ".join(map(str, lines[:_MOST_LINES]))
    more = isinstance(count, int) and count > min(len(lines), _MOST_LINES)
    rows = "row" if count == 1 else "rows"
    where = f"{finding.get('source')} line{'s' * (len(lines) > 1)} {named}{' …' if more else ''}"
    return f"{finding.get('code')}: {count} {rows}, {where}"
