"""Draws benches and profiles as PNGs, with matplotlib."""

from bench.pictures.drawing import write_png
from bench.pictures.found import draw_found

__all__ = ["draw_found", "write_png"]
