"""An evaluation as one HTML page that needs nothing else: no script, no font, no picture from elsewhere."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from importlib import resources

from parfocal.training.figures import (
    Continued,
    Evaluated,
    Figure,
    change_text,
    difference_text,
    interval_text,
    shown_figures,
    title,
    value_text,
)
from parfocal.training.reports import svg
from parfocal.training.reports.document import chosen_samples, cut

_PLOTTED_SLICES = ("loss", "forgetting")
_MOST_PAIRS = 60
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(found: Evaluated) -> str:
    """The whole page; texts of rows and models are escaped, and the page forbids scripts."""
    return whole_page(f"Evaluation on {found.base}", _parts(found))


def whole_page(heading: str, parts: Iterable[str]) -> str:
    """A page of `parts`, which are HTML, under `heading`, which is text."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{escape(heading)}</title><style>{_style()}</style></head><body>"
        f"<h1>{escape(heading)}</h1>{''.join(parts)}</body></html>\n"
    )


def _style() -> str:
    return (resources.files(__package__ or "") / "style.css").read_text("utf-8")


def _parts(found: Evaluated) -> Iterator[str]:
    answered = len(found.measured[0].written)
    asked = f", {answered} of them answered by the engine that serves" if answered else ""
    yield (
        f'<p class="soft">{len(found.items)} held-out rows of {escape(found.data)}{asked}, on the 4-bit base '
        f"that serves. Rows: {escape(found.data_digest)}</p>"
    )
    yield from (f'<p class="note">{escape(note)}</p>' for note in found.notes)
    yield _verdicts(found)
    yield _plots(found)
    yield f"<h2>Figures</h2>{_figures_table(found)}"
    if found.continued is not None:
        yield _continued(found.continued)
    if any(figure.slice for figure in found.figures):
        yield f"<h2>By slice</h2>{_slice_table(found, found.figures)}"
    if found.probes:
        yield "<h2>What general text tells</h2>"
        yield (
            '<p class="soft">Loss on packaged texts that no adapter was trained on: how much higher it is '
            "than that of the base (forgotten), and how far next-token probabilities have moved (KL).</p>"
        )
        yield _slice_table(found, found.probes)
        yield _pairs(found)
    yield _samples(found)


def _kind(arm: int) -> str:
    return ("base", "adapter")[arm] if arm < 2 else "other"


def _verdicts(found: Evaluated) -> str:
    wanted = ("loss", found.metric)
    judged = [
        (f"{measured.arm.title}, {title(figure)}", figure, at)
        for at, measured in enumerate(found.measured[1:], start=1)
        for figure in found.figures
        if not figure.slice and figure.name in wanted
    ]
    beside = found.continued
    for of, figure in () if beside is None else beside.all_figures():
        if beside is not None and not figure.slice and figure.name in (*wanted, "general_loss"):
            where = f" of {of}" if of and figure.name != "general_loss" else ""
            judged.append((f"beside {beside.parent}, {title(figure)}{where}", figure, 1))
    cards = []
    for words, figure, at in judged:
        improvement = figure.improvements[at]
        if improvement is not None:
            verdict = improvement.verdict().value
            cards.append(
                f'<div class="verdict {verdict.split()[0]}"><span class="soft">{escape(words)}</span>'
                f"<b>{verdict}</b>{escape(difference_text(figure.name, improvement))}</div>"
            )
    return f'<div class="verdicts">{"".join(cards)}</div>'


def _continued(found: Continued) -> str:
    """Parent and adapter beside each other, on the held-out rows, general text, and the parent's rows."""
    rows = []
    for of, figure in found.all_figures():
        if figure.slice or "." in figure.name:
            continue
        cells = [of or "held-out rows", title(figure), str(figure.rows)]
        shown = [value_text(figure.name, each) for each in figure.estimates]
        improvement = figure.improvements[1]
        if improvement is not None:
            kind = improvement.verdict().value.split()[0]
            shown[1] += f'<br><span class="{kind}">{change_text(figure.name, improvement)}</span>'
        elif ends := interval_text(figure.name, figure.estimates[1]):
            shown[1] += f'<br><span class="soft">{ends}</span>'
        rows.append(
            "".join(f"<td>{escape(each)}</td>" for each in cells)
            + "".join(f'<td class="n">{each}</td>' for each in shown)
        )
    note = (
        f"The adapter goes on from {escape(found.parent)}. Replayed rows are {found.kept_rows} held-out ones "
        "of what that was trained on. Below each value is by how much better than the parent's it is."
    )
    table = _table(["of", "figure", "rows", found.parent, "adapter"], rows)
    return f'<h2>Gained over the parent, and forgotten of it</h2><p class="soft">{note}</p>{table}'


def _figures_table(found: Evaluated) -> str:
    rows = []
    for figure in shown_figures(found):
        cells = [f"<td>{escape(title(figure))}</td>", f'<td class="n">{figure.rows}</td>']
        for each, improvement in zip(figure.estimates, figure.improvements, strict=True):
            lines = [value_text(figure.name, each)]
            if ends := interval_text(figure.name, each):
                lines.append(f'<span class="soft">{ends}</span>')
            if improvement is not None:
                kind = improvement.verdict().value.split()[0]
                lines.append(f'<span class="{kind}">{change_text(figure.name, improvement)}</span>')
            cells.append(f'<td class="n">{"<br>".join(lines)}</td>')
        rows.append("".join(cells))
    note = "Each with its 95 % interval, and below how much better than the base it is, in points or nats."
    head = ["figure", "rows", *(each.arm.title for each in found.measured)]
    return f'<p class="soft">{note}</p>{_table(head, rows)}'


def _plots(found: Evaluated) -> str:
    drawn = []
    for name in dict.fromkeys(("loss", found.metric)):
        figure = next((each for each in found.figures if each.name == name and not each.slice), None)
        if figure is not None:
            drawn.append((title(figure), svg.intervals(_bars(found, figure), title=title(figure))))
    for name in _PLOTTED_SLICES:
        chosen = [each for each in (*found.figures, *found.probes) if each.slice and each.name == name]
        if chosen:
            label = f"{title(chosen[0])}, by slice"
            drawn.append(
                (label, svg.intervals(_slice_bars(found, chosen), title=label, zero=name == "forgetting"))
            )
    if found.measured[0].written:
        drawn.append(("tokens per answer, prompt and answer", svg.bars(_tokens(found), title="tokens")))
    return (
        '<div class="plots">'
        + "".join(f"<figure><figcaption>{escape(name)}</figcaption>{plot}</figure>" for name, plot in drawn)
        + "</div>"
    )


def _bars(found: Evaluated, figure: Figure) -> list[svg.Bar]:
    return [
        svg.Bar(
            measured.arm.title,
            each.value,
            value_text(figure.name, each),
            _kind(at),
            None if each.interval is None else each.interval.low,
            None if each.interval is None else each.interval.high,
        )
        for at, (measured, each) in enumerate(zip(found.measured, figure.estimates, strict=True))
        if each is not None
    ]


def _slice_bars(found: Evaluated, figures: Sequence[Figure]) -> list[svg.Bar]:
    """Of the last arm without a prompt, and of the base where it has a figure of its own."""
    last = max(at for at, each in enumerate(found.measured) if not each.arm.prompted)
    drawn = []
    for figure in figures:
        for at in (0, last) if figure.name == "loss" and last else (last,):
            each = figure.estimate(at)
            drawn.append(
                svg.Bar(
                    figure.slice if at else f"{figure.slice} (base)",
                    each.value,
                    value_text(figure.name, each),
                    _kind(at),
                    None if each.interval is None else each.interval.low,
                    None if each.interval is None else each.interval.high,
                )
            )
    return drawn


def _tokens(found: Evaluated) -> list[svg.Bar]:
    rows = []
    for at, each in enumerate(found.measured):
        count = max(1, len(each.written))
        prompt = sum(wrote.prompt_tokens for wrote in each.written) / count
        answer = sum(wrote.tokens for wrote in each.written) / count
        rows.append(svg.Bar(each.arm.title, prompt + answer, f"{prompt:.0f} + {answer:.0f}", _kind(at)))
    return rows


def _slice_table(found: Evaluated, figures: Sequence[Figure]) -> str:
    arms = [each.arm.title for each in found.measured]
    names = dict.fromkeys(each.name for each in figures if each.slice and "." not in each.name)
    rows = [
        f"<td>{escape(figure.slice)}</td><td>{escape(title(figure))}</td>"
        f'<td class="n">{figure.rows}</td>'
        + "".join(f'<td class="n">{value_text(figure.name, each)}</td>' for each in figure.estimates)
        for name in names
        for figure in figures
        if figure.name == name and figure.slice
    ]
    table = _table(["slice", "figure", "rows", *arms], rows)
    return f"<details open><summary>{len(rows)} figures</summary><div>{table}</div></details>"


def _pairs(found: Evaluated) -> str:
    arms = [each.arm.title for each in found.measured if not each.arm.prompted]
    rows = []
    for pair, odds in found.pairs[:_MOST_PAIRS]:
        cells = "".join(f'<td class="n">{value:+.2f}</td>' for value in odds)
        rows.append(
            f"<td>{escape(pair.kind.replace('_', ' '))}, {escape(pair.slice)}</td><td>{escape(pair.prompt)} "
            f"<b>{escape(pair.first.strip())}</b> / {escape(pair.second.strip())}</td>{cells}"
        )
    table = _table(["probe", "first (bold) or second", *arms], rows)
    return (
        f"<details><summary>Clichés and modern facts: log-odds of the first way to go on, {len(rows)} pairs"
        f"</summary><div>{table}</div></details>"
    )


def _samples(found: Evaluated) -> str:
    chosen = list(chosen_samples(found))
    if not chosen:
        return ""
    shown = "".join(_sample(found, at, opened=place < 3) for place, at in enumerate(chosen))
    return f"<h2>Answers side by side, wrong ones first</h2>{shown}"


def _sample(found: Evaluated, at: int, *, opened: bool) -> str:
    item = found.items[at]
    boxes = [("prompt", item.prompt), ("true answer", item.true)]
    for arm, one in enumerate(found.measured):
        score = f", {found.scores[arm][at]:.2g}" if found.scores else ""
        ended = "" if one.written[at].stopped else ", did not stop"
        boxes.append((f"{one.arm.title}{score}{ended}", one.written[at].text))
    sides = "".join(
        f"<div><h4>{escape(name)}</h4><pre>{escape(cut(text))}</pre></div>" for name, text in boxes
    )
    near = found.neighbours.get(at)
    nearest = f'<p class="soft">Nearest training row: {escape(near)}</p>' if near else ""
    of_slice = f", {escape(item.slice)}" if item.slice else ""
    return (
        f"<details{' open' if opened else ''}><summary>Line {item.line}{of_slice}</summary>"
        f'<div><div class="side">{sides}</div>{nearest}</div></details>'
    )


def _table(head: Sequence[str], rows: Sequence[str]) -> str:
    # Numbers stand on the right, from the column of counts on.
    first = head.index("rows") if "rows" in head else len(head)
    kinds = (' class="n"' if at >= first else "" for at in range(len(head)))
    cells = "".join(f"<th{kind}>{escape(each)}</th>" for kind, each in zip(kinds, head, strict=True))
    return f"<table><tr>{cells}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"
