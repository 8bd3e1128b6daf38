"""`parfocal data show`: rows as they are read, as another method reads them, or as the loss sees them."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from parfocal.cli.display import count_text, say, show_json, show_rendered

if TYPE_CHECKING:
    from parfocal.training import Finding
    from parfocal.training.data import Example, MaskedRow

_ROWS = 5
# On a pipe, where there is no colour.
_MARKS = {"learnt": ("⟦", "⟧"), "cut": ("⟨cut: ", "⟩"), "read": ("", "")}
_STYLES = {"learnt": "bold green", "cut": "red strike", "read": "dim"}


@dataclass(frozen=True, slots=True)
class ShowRequest:
    """What the command was given."""

    file: Path
    mask: bool
    base: str | None
    rows: int | None
    line: int | None
    view: str | None
    max_length: int | None
    columns: Mapping[str, str]
    variables: Mapping[str, Any]
    as_json: bool


def show_rows(request: ShowRequest) -> None:
    """Prints rows; what is wrong with others goes to stderr."""
    shown = _masks(request) if request.mask else _written(request)
    if request.as_json and request.view is None:
        show_json({"rows": list(shown)})
        return
    for row in shown:
        if not request.mask:
            show_json(row, in_one_line=True)


def _written(request: ShowRequest) -> Iterator[object]:
    """Rows in the shape of a view: their own where none is named."""
    from parfocal.training.data.checks import mapped, view_of

    for example in _examples(request):
        yield from mapped(example, request.view or view_of(example))


def _masks(request: ShowRequest) -> Iterator[object]:
    from parfocal.training.data import RenderFault, base_encoder, masked

    encoder, context = base_encoder(request.base or "tiny", request.variables)
    max_length = request.max_length or (context if request.base else None)
    for example in _examples(request):
        try:
            rows = masked(example, encoder, max_length)
        except RenderFault as fault:
            _fault(_line(example), f"{fault.code} {fault}")
            continue
        for row in rows:
            if not request.as_json:
                _show_masked(row)
            yield row.to_json()


def _examples(request: ShowRequest) -> "Iterator[Example]":
    """The rows asked for, as the method that they are written for reads them."""
    from parfocal.training import Finding
    from parfocal.training.data.formats import ExampleReader

    most = request.rows or (1 if request.line else None if request.view else _ROWS)
    given = 0
    for found in ExampleReader(request.file, request.columns):
        if isinstance(found, Finding):
            if request.line is None or request.line in found.lines:
                _say_finding(found)
            continue
        if request.line is not None and _line(found) != request.line:
            continue
        yield found
        given += 1
        if given == most:
            return
    if not given:
        raise typer.BadParameter(
            "there is no row at this line" if request.line else "there are no rows", param_hint="--line"
        )


def _show_masked(row: "MaskedRow") -> None:
    from parfocal.training.data import State

    counts = [f"{count_text(row.count(State.LEARNT), 'token')} learnt, {row.count(State.READ)} only read"]
    if cut := row.count(State.CUT):
        counts.append(f"{cut} cut off")
    part = f", {row.part}" if row.part else ""
    say(f"{row.source} line {row.line}{part}: {', '.join(counts)}")
    if sys.stdout.isatty():
        show_rendered(lambda _: _coloured(row))
    else:
        pieces = (
            f"{_MARKS[each.state.value][0]}{each.text}{_MARKS[each.state.value][1]}" for each in row.stretches
        )
        for line in "".join(pieces).split("\n"):
            say(f"  {line}")
    beside = row.beside()
    if beside:
        say(f"  learnt beside the answers' own words: {', '.join(map(repr, beside))}")
    say("")


def _coloured(row: "MaskedRow") -> Any:
    from rich.text import Text

    from parfocal.registry import printable

    text = Text()
    for each in row.stretches:
        text.append(printable(each.text, keep="\n"), style=_STYLES[each.state.value])
    return text


def _line(example: "Example") -> int:
    from parfocal.training.data import row_of

    return row_of(example).line


def _say_finding(found: "Finding") -> None:
    from parfocal.training import Severity

    if found.severity is not Severity.NOTE:
        say(f"parfocal: {found.headline()}", err=True)


def _fault(line: int, what: str) -> None:
    say(f"parfocal: line {line}: {what}", err=True)
