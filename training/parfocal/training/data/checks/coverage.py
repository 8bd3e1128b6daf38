"""Which kinds of case the rows cover: by slice, and by length of the prompt."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parfocal.registry.values import JSON
from parfocal.training.data.rows import Example, row_of
from parfocal.training.findings import Finding, Severity

# Characters of what is asked, without the system prompt: each step is four times the one before.
EDGES = (16, 64, 256, 1024, 4096, 16384)
_FEW = 5
_MOST_SLICES = 1000
_NO_SLICE = ""


def length_name(step: int) -> str:
    """A step in words.

    >>> length_name(0), length_name(6)
    ('to 16', 'over 16384')
    """
    return f"over {EDGES[-1]}" if step == len(EDGES) else f"to {EDGES[step]}"


@dataclass(frozen=True, slots=True)
class Cell:
    """How many rows of a slice have prompts of a length: to train on, and held out."""

    slice: str
    length: int
    rows: int
    held_out: int

    def to_json(self) -> dict[str, JSON]:
        """The cell as a document has it."""
        return {
            "slice": self.slice,
            "prompt_characters": length_name(self.length),
            "rows": self.rows,
            "held_out": self.held_out,
        }


class Coverage:
    """Counts rows by slice and by length."""

    def __init__(self, held_out: Sequence[Example] = ()) -> None:
        self._rows: Counter[tuple[str, int]] = Counter()
        self._held_out = Counter(_cell(example) for example in held_out)
        self._source = ""

    def add(self, example: Example) -> None:
        """Counts a row."""
        self._source = self._source or row_of(example).source
        cell = _cell(example)
        if cell in self._rows or len(self._rows) < _MOST_SLICES:
            self._rows[cell] += 1

    def cells(self) -> tuple[Cell, ...]:
        """Every cell that has a row, by slice and then by length."""
        places = sorted({*self._rows, *self._held_out})
        return tuple(Cell(*place, self._rows[place], self._held_out[place]) for place in places)

    def findings(self) -> Iterator[Finding]:
        """Warns of slices, and notes lengths, that are asked for and hardly taught."""
        slices: Counter[str] = Counter()
        asked: Counter[str] = Counter()
        for cell in self.cells():
            slices[cell.slice] += cell.rows
            asked[cell.slice] += cell.held_out
        thin = sorted(name for name in {*slices, *asked} - {_NO_SLICE} if slices[name] < _FEW)
        if thin:
            shown = ", ".join(f"{name!r} ({slices[name]})" for name in thin[:5])
            message = f"slices with fewer than {_FEW} rows to train on: {shown}"
            yield Finding(
                Severity.WARNING, "THIN_SLICE", message, self._source, (), "add rows of these kinds"
            )
        lengths: Counter[int] = Counter()
        for (_, length), rows in self._rows.items():
            lengths[length] += rows
        unseen = sorted({length for _, length in self._held_out if lengths[length] < _FEW})
        if unseen:
            shown = ", ".join(f"{length_name(length)} characters ({lengths[length]})" for length in unseen)
            message = f"held-out prompts are of lengths that hardly any row to train on has: {shown}"
            yield Finding(
                Severity.WARNING, "THIN_LENGTH", message, self._source, (), "add rows of these lengths"
            )


def _cell(example: Example) -> tuple[str, int]:
    row = row_of(example)
    asked = row.talk if row.turns[-1].role != "assistant" or len(row.turns) == 1 else row.talk[:-1]
    length = sum(len(turn.content) for turn in asked)
    return row.slice, sum(length > edge for edge in EDGES)
