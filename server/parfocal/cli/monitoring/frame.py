"""One frame of `parfocal top`, as wide and as high as the terminal is."""

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from parfocal.cli.display import size_text
from parfocal.cli.monitoring.canaries import CanaryFigures, canaries_on
from parfocal.cli.monitoring.drawings import bar, sparkline
from parfocal.cli.monitoring.figures import Figures, Quantiles
from parfocal.cli.monitoring.history import View
from parfocal.cli.monitoring.look import SERVING
from parfocal.client import LoadedAdapter, Model
from parfocal.registry import printable

_TIERS = ("device", "host", "disk", "remote")
_NONE = "-"
_NARROW, _WIDE = 72, 100
_LEAST_ROWS = 3
_MOST_CANARIES = 3
# With an empty line: title, headings and rest of the rows.
_TABLE_LINES = 4
# The longest name of a figure, and the space after it.
_LABEL = 13


def frame(address: str, view: View, width: int, height: int | None = None, hint: str = "") -> RenderableType:
    """The frame; `height` None shows every adapter, and all of its name.

    What is longer than the width goes on in the next line; nothing else than names of adapters is ever cut.
    """
    head, figures = _head(address, view, width), [*_figures(view, width), *_canaries(view, width)]
    foot = [*_missing(view, width), *([_cut(Text(hint, style="dim"), width)] if hint else [])]
    taken = sum(map(_lines_of, (*head, *figures, *foot))) + _TABLE_LINES
    rows = None if height is None else max(_LEAST_ROWS, height - taken)
    return Group(*head, *figures, *_adapters(view, width, rows), *foot)


def _head(address: str, view: View, width: int) -> list[Text]:
    look, model = view.look, view.model
    is_serving = look.state == SERVING
    line = Text("● " if is_serving else "○ ", style="green" if is_serving else "bold red")
    line.append(f"{look.state}  ", style="bold")
    line.append(printable(_model(model, address)), style="" if look.model is not None else "dim")
    return [_wrapped(line, width), *([_line(printable(look.fault), width, "red")] if look.fault else [])]


def _model(model: Model | None, address: str) -> str:
    if model is None:
        return address
    parts = (model.base.id, model.architecture, model.dtype, model.device, address)
    return " · ".join(part for part in (*parts, f"Parfocal {model.server_version}") if part)


def _figures(view: View, width: int) -> list[Text]:
    """A line for each figure, its name before it; longer ones go on below their beginning."""
    figures = view.figures
    if figures is None:
        return []
    window = "since the start" if figures.window_s is None else f"last {figures.window_s:.0f} s"
    room = max(8, min(60, width - 34))
    rate = _NONE if figures.tokens_per_s is None else f"{figures.tokens_per_s:.1f}"
    rows = {
        "tokens/s": _pair(rate, sparkline(view.tokens_per_s, room), "cyan"),
        "requests": Text(f"{figures.running} running, {figures.waiting} waiting"),
        "first token": _pair(
            _quantiles(figures.first_token), sparkline(view.first_token_s, room - 16), "magenta"
        ),
        "per token": Text(_quantiles(figures.per_token)),
        "KV blocks": _blocks(figures, max(8, min(30, width - 56))),
        "memory": Text(_memory(figures)),
        "errors": _errors(figures),
    }
    found = [_labelled(label, value, width) for label, value in rows.items()]
    return [Text(), *found, _line(f"times and errors: {window}", width, "dim")]


def _canaries(view: View, width: int) -> list[Text]:
    """A line for each alias with two versions."""
    found = () if view.look.page is None else canaries_on(view.look.page)
    lines = [_line(_canary(each), width, "") for each in found[:_MOST_CANARIES]]
    if len(found) > _MOST_CANARIES:
        lines.append(_line(f"and {len(found) - _MOST_CANARIES} canaries more", width, "dim"))
    return (
        [Text(), _line("Canaries: requests, failed, first token, tokens", width, "bold"), *lines]
        if lines
        else []
    )


def _canary(figures: CanaryFigures) -> str:
    sides = "; ".join(f"{role} {version}: {', '.join(rest)}" for role, version, *rest in figures.rows())
    return f"{printable(figures.adapter)}@{printable(figures.alias)} {100 * figures.weight:g} %; {sides}"


def _labelled(label: str, value: Text, width: int) -> Text:
    lines = _wrapped(value, width - _LABEL).split("\n")
    heads = (label, *[""] * (len(lines) - 1))
    return Text("\n").join(
        Text.assemble((f"{head:<{_LABEL}}", "bold"), line) for head, line in zip(heads, lines, strict=True)
    )


def _pair(figure: str, picture: str, style: str) -> Text:
    return Text(f"{figure:<10} ").append(picture, style=style)


def _quantiles(found: Quantiles | None) -> str:
    return _NONE if found is None else f"p50 {_seconds(found.p50)}  p99 {_seconds(found.p99)}"


def _seconds(value: float) -> str:
    return f"{value * 1e3:.0f} ms" if value < 1 else f"{value:.1f} s"


def _blocks(figures: Figures, width: int) -> Text:
    used, cached = figures.blocks.get("used", 0), figures.blocks.get("cached", 0)
    total = sum(figures.blocks.values())
    drawn = Text(bar([(used, "█"), (cached, "▒")], total, width), style="cyan")
    return drawn.append(f" {used} used, {cached} cached, {total}", style="default")


def _memory(figures: Figures) -> str:
    return ", ".join(f"{name} {size_text(size)}" for name, size in figures.memory.items() if size) or _NONE


def _errors(figures: Figures) -> Text:
    if not figures.errors:
        return Text("none", style="dim")
    shown = ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in figures.errors.items())
    return Text(printable(shown), style="red")


def _adapters(view: View, width: int, rows: int | None) -> Iterable[RenderableType]:
    look, figures = view.look, view.figures
    if look.model is None:
        return
    yield Text()
    held = sorted(look.adapters, key=lambda each: (_place(each.tier), -each.pins, each.name, each.version))
    on_device = sum(each.tier == "device" for each in held)
    title = f"Adapters: {on_device} of {look.model.slots} slots, {len(held)} held"
    yield _line(title, width, "bold")
    if not held:
        return
    is_whole = rows is None
    table = Table(
        box=None, pad_edge=False, header_style="dim", show_edge=False, width=None if is_whole else width
    )
    table.add_column("ADAPTER", no_wrap=not is_whole, overflow="fold" if is_whole else "ellipsis", ratio=1)
    for heading in _columns(width):
        table.add_column(heading, justify="right", no_wrap=not is_whole, overflow="fold")
    shown = held if rows is None else held[:rows]
    for each in shown:
        table.add_row(_name(each), *(_cell(heading, each, figures) for heading in _columns(width)))
    yield table
    if len(shown) < len(held):
        yield _line(f"and {len(held) - len(shown)} more", width, "dim")


def _columns(width: int) -> tuple[str, ...]:
    narrow = ("STATE", "TIER", "SIZE", "PINS")
    if width < _NARROW:
        return narrow
    medium = (*narrow, "TOK/S")
    return medium if width < _WIDE else (*medium, "REQ/S", "RANK")


def _name(adapter: LoadedAdapter) -> Text:
    return Text(printable(str(adapter))).append(" pinned" if adapter.pinned else "", style="yellow")


def _cell(heading: str, adapter: LoadedAdapter, figures: Figures | None) -> str:
    key = (adapter.name, str(adapter.version))
    tokens = {} if figures is None else figures.tokens_by_adapter
    requests = {} if figures is None else figures.requests_by_adapter
    cells = {
        "STATE": adapter.state,
        "TIER": adapter.tier,
        "SIZE": size_text(adapter.size_bytes),
        "PINS": str(adapter.pins),
        "RANK": str(adapter.rank),
        "TOK/S": f"{tokens[key]:.1f}" if key in tokens else _NONE,
        "REQ/S": f"{requests[key]:.2f}" if key in requests else _NONE,
    }
    return cells[heading]


def _place(tier: str) -> int:
    return _TIERS.index(tier) if tier in _TIERS else len(_TIERS)


def _missing(view: View, width: int) -> list[Text]:
    return [_line(f"missing {printable(each)}", width, "yellow") for each in view.look.missing]


def _line(text: str, width: int, style: str) -> Text:
    return _wrapped(Text(text, style=style), width)


def _wrapped(text: Text, width: int) -> Text:
    """The text, with line breaks where it would be wider."""
    lines = text.wrap(Console(), max(1, width), overflow="fold")
    for line in lines:
        line.rstrip()
    return Text("\n").join(lines)


def _lines_of(text: Text) -> int:
    return text.plain.count("\n") + 1


def _cut(text: Text, width: int) -> Text:
    text.truncate(width, overflow="ellipsis")
    text.no_wrap = True
    return text
