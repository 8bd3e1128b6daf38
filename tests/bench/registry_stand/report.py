"""What a bench of the registry found: its workload, its figures, what limits them, and which bars hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Figures = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Bar:
    """A promise, what was found of it, and whether it holds."""

    promise: str
    found: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Report:
    """One bench. `limits` are what this machine, or a program that does no more than it must, can do."""

    bench: str
    workload: str
    figures: Figures
    limits: Figures
    bars: Sequence[Bar]

    @property
    def holds(self) -> bool:
        """Whether every bar does."""
        return all(bar.holds for bar in self.bars)

    def document(self) -> dict[str, object]:
        """All of it, for machines."""
        bars = [{"promise": bar.promise, "found": bar.found, "holds": bar.holds} for bar in self.bars]
        return {
            "bench": self.bench,
            "holds": self.holds,
            "workload": self.workload,
            "bars": bars,
            "figures": dict(self.figures),
            "limits": dict(self.limits),
        }


def page_of(documents: Sequence[Mapping[str, object]]) -> str:
    """Reports for people, in Markdown."""
    return "\n".join(line for document in documents for line in _lines(document))


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of the others does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def _lines(document: Mapping[str, object]) -> list[str]:
    bars = document["bars"]
    assert isinstance(bars, list)
    rows = [f"| {bar['promise']} | {bar['found']} | {'yes' if bar['holds'] else '**no**'} |" for bar in bars]
    return [
        f"## {document['bench']}",
        "",
        str(document["workload"]),
        "",
        "| promised | found | holds |",
        "|---|---|---|",
        *rows,
        "",
        *_figures("Measured", document["figures"]),
        *_figures("Limits", document["limits"]),
        "",
    ]


def _figures(title: str, figures: object) -> list[str]:
    assert isinstance(figures, dict)
    shown = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in figures.items())
    return [f"{title}: {shown}.", ""] if shown else []
