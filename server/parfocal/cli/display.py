"""How results are printed: JSON for machines, uncut tables for people and pipes. The only place that prints.

Registries, servers and files may hold characters that a terminal obeys: they are written out, so that what a
person sees is what is there. JSON and a pipe that takes an answer get every character as it is.
"""

import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from datetime import datetime

import typer
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from parfocal.registry import printable

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_PIPE_WIDTH = 10_000
# Of these JSON escapes only the first 32 by itself. In JSON outside of texts there is none but line breaks.
_ESCAPED_IN_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]")


def say(text: str, *, err: bool = False, dim: bool = False) -> None:
    """Prints a line."""
    typer.secho(printable(text), err=err, dim=dim or None)


def say_answer(text: str, *, is_whole: bool = True) -> None:
    """Prints a text of any number of lines, or a piece of one; as it is, unless to a terminal."""
    shown = printable(text, keep="\n\t") if sys.stdout.isatty() else text
    typer.echo(shown, nl=is_whole, color=True)  # else it would take escape sequences out of an answer


def show_warnings_as_lines() -> None:
    """Makes what a command that sets up no log is warned of lines that a terminal only shows."""
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Line())


def show_json(value: object, *, in_one_line: bool = False) -> None:
    """Prints `value` as JSON, escaping characters that the terminal cannot show, or would obey."""
    spells_all = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    indent = None if in_one_line else 2
    text = json.dumps(value, indent=indent, ensure_ascii=not spells_all, sort_keys=False)
    typer.echo(_ESCAPED_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def show_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Prints rows under headings; a pipe gets every character of every cell."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for heading in headings:
        table.add_column(Text(printable(heading)), no_wrap=not sys.stdout.isatty(), overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    _print(table)


def show_pairs(pairs: Sequence[tuple[str, str]]) -> None:
    """Prints `key  value` lines, the keys aligned."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for key, value in pairs:
        table.add_row(Text(printable(key)), Text(printable(value)))
    _print(table)


def show_section(title: str, rows: Sequence[tuple[str, ...]], headings: Sequence[str] = ()) -> None:
    """Prints a heading, and under it a table or, where it has no headings, pairs."""
    show_heading(title)
    if headings:
        show_table(headings, rows)
    else:
        show_pairs([(name, value) for name, value in rows])


def show_heading(text: str) -> None:
    """Prints a heading after an empty line."""
    _print(Text(f"\n{printable(text)}", style="bold"))


def shown_width() -> int:
    """How many characters fit a line: the terminal's; a pipe takes lines of any length."""
    return Console().width if sys.stdout.isatty() else _PIPE_WIDTH


def show_rendered(render: Callable[[int], RenderableType]) -> None:
    """Prints what `render` makes for a width: the terminal's; a pipe takes lines of any."""
    console = Console(highlight=False, width=shown_width())
    with console.capture() as captured:
        console.print(render(console.width))
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())


def size_text(size_bytes: int) -> str:
    """A size in readable units.

    >>> size_text(1536)
    '1.5 KiB'
    """
    size, unit = float(size_bytes), _UNITS[0]
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"


def count_text(count: int, one: str, many: str = "") -> str:
    """So many of something, for people.

    >>> count_text(1, "alias", "aliases"), count_text(2, "version")
    ('1 alias', '2 versions')
    """
    return f"{count} {one}" if count == 1 else f"{count} {many or one + 's'}"


def time_text(moment: datetime) -> str:
    """A moment in the reader's own time zone, to the second."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def digest_text(digest: str) -> str:
    """Enough of a digest to tell it apart and to paste it after a name: `name@sha256:…`.

    >>> digest_text("sha256:0123456789abcdef0123")
    'sha256:0123456789ab'
    """
    algorithm, _, digits = digest.partition(":")
    return f"{algorithm}:{digits[:12]}"


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _print(renderable: RenderableType) -> None:
    """Prints; to a pipe as wide as needed, so that grep and awk see whole cells and no padding."""
    console = Console(highlight=False, width=shown_width())
    with console.capture() as captured:
        console.print(renderable)
    for line in captured.get().splitlines():
        typer.echo(line.rstrip())
