"""An evaluation as Markdown: the tables, the verdicts and the first answers."""

import re
from collections.abc import Iterator, Sequence

from parfocal.training.figures import (
    Continued,
    Evaluated,
    change_text,
    interval_text,
    shown_figures,
    title,
    value_text,
    verdict_lines,
)
from parfocal.training.reports.document import chosen_samples, cut

_ACTING = re.compile(r"[\\`*_\[\]<>|#&~]")
_MOST_SAMPLES = 12


def markdown(found: Evaluated) -> str:
    """The whole report; texts of rows and models cannot become Markdown or HTML."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: Evaluated) -> Iterator[str]:
    yield f"# Evaluation on {_plain(found.base)}"
    yield ""
    yield f"{len(found.items)} held-out rows of {_plain(found.data)} ({found.data_digest})."
    yield ""
    arms = [_plain(each.arm.title) for each in found.measured]
    rows = []
    for figure in shown_figures(found):
        cells = []
        for each, improvement in zip(figure.estimates, figure.improvements, strict=True):
            ends = interval_text(figure.name, each)
            better = "" if improvement is None else f"; better by {change_text(figure.name, improvement)}"
            cells.append(f"{value_text(figure.name, each)}{f' ({ends})' if ends else ''}{better}")
        rows.append([title(figure), str(figure.rows), *cells])
    yield from _table(["figure", "rows", *arms], rows)
    yield ""
    yield from (f"- {_plain(line)}" for line in verdict_lines(found))
    if found.continued is not None:
        yield from _continued(found.continued)
    yield from _slices(found, arms)
    yield from _samples(found, arms)


def _continued(found: Continued) -> Iterator[str]:
    yield f"\n## Beside the parent, {_plain(found.parent)}\n"
    rows = []
    for of, figure in found.all_figures():
        if figure.slice or "." in figure.name:
            continue
        improvement = figure.improvements[1]
        better = "" if improvement is None else change_text(figure.name, improvement)
        values = (value_text(figure.name, each) for each in figure.estimates)
        rows.append([of or "held-out rows", title(figure), str(figure.rows), *values, better])
    yield from _table(["of", "figure", "rows", "parent", "adapter", "better by"], rows)


def _slices(found: Evaluated, arms: Sequence[str]) -> Iterator[str]:
    wanted = ("loss", "forgetting", "kl_from_base", found.metric)
    rows = [
        [
            _plain(each.slice),
            title(each),
            str(each.rows),
            *(value_text(each.name, one) for one in each.estimates),
        ]
        for each in (*found.figures, *found.probes)
        if each.slice and each.name in wanted
    ]
    if rows:
        yield "\n## By slice\n"
        yield from _table(["slice", "figure", "rows", *arms], rows)


def _samples(found: Evaluated, arms: Sequence[str]) -> Iterator[str]:
    chosen = list(chosen_samples(found))[:_MOST_SAMPLES]
    if chosen:
        yield "\n## Answers, wrong ones first\n"
    for at in chosen:
        item = found.items[at]
        yield f"### Line {item.line}\n"
        texts = [("prompt", item.prompt), ("true", item.true)]
        texts += [(arm, one.written[at].text) for arm, one in zip(arms, found.measured, strict=True)]
        for name, text in texts:
            yield f"- {name}: {_plain(cut(text))}"
        if at in found.neighbours:
            yield f"- nearest training row: {_plain(found.neighbours[at])}"
        yield ""


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    yield from (f"| {' | '.join(row)} |" for row in rows)


def _plain(text: str) -> str:
    """A text in one line that does nothing in Markdown."""
    return _ACTING.sub(lambda match: f"&#{ord(match[0])};", " ".join(text.split()))
