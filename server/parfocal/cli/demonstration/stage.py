"""The demo's output: headings, answers side by side, small tables. Only prints."""

from collections.abc import Sequence

from rich.console import Console
from rich.panel import Panel
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from parfocal.registry import printable


class Stage:
    """A terminal or a log; colours and bars only on a terminal."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)
        self._act = 0

    def act(self, title: str, explanation: str) -> None:
        """Begins a numbered part of the tour."""
        self._act += 1
        self.console.print()
        self.console.print(Rule(f"[bold]{self._act}. {title}[/bold]", align="left"))
        self.say(explanation, style="dim")

    def say(self, text: str, style: str = "") -> None:
        """Prints a line or a paragraph."""
        self.console.print(_shown(text, style))

    def side_by_side(self, question: str, base: str, adapter: str, name: str) -> None:
        """Shows what base and adapter answer to the same message."""
        table = Table.grid(expand=True, padding=(0, 1))
        for _ in range(3):
            table.add_column(ratio=1)
        table.add_row(
            Panel(_shown(question), title="sent", title_align="left", border_style="dim"),
            Panel(
                _shown(base.strip() or "(nothing)"),
                title="base",
                title_align="left",
                border_style="dim",
            ),
            Panel(_shown(adapter), title=name, title_align="left", border_style="green"),
        )
        self.console.print(table)

    def table(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Prints rows under headings."""
        table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for heading in headings:
            table.add_column(heading)
        for row in rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        self.console.print(table)

    def commands(self, lines: Sequence[str]) -> None:
        """Prints commands that can be copied: never wrapped."""
        for line in lines:
            self.console.print(Text(f"  {line}", style="cyan"), soft_wrap=True)


def _shown(text: str, style: str = "") -> Text:
    """A text of several lines that a terminal only shows."""
    return Text(printable(text, keep="\n"), style=style)
