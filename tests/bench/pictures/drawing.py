"""Writes a figure as a PNG, without a display. Knows no figures."""

from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

_DPI = 120


def write_png(figure: Figure, path: Path) -> None:
    """Draws the figure into the file, without touching pyplot's global state."""
    FigureCanvasAgg(figure)
    figure.savefig(path, dpi=_DPI, format="png")
