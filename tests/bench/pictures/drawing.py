"""Writes a figure as a PNG, without a display, and numbers in few characters. Knows no figures."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DPI = 120


def write_png(figure: Figure, path: Path) -> None:
    """Draws the figure into the file, without touching pyplot's global state."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, format="png")


def number_text(value: float) -> str:
    """Returns three figures, whatever the size.

    >>> number_text(1234567.0), number_text(25972.0), number_text(80.04), number_text(0.00123)
    ('1.23M', '26k', '80', '0.00123')
    """
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= size * 10 or (abs(value) >= size and unit != "k"):
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:.0f}"
