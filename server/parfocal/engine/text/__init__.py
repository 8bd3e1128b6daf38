"""From tokens to text as it becomes certain: whole characters, stop strings cut."""

from parfocal.engine.text.stream import TextStream

__all__ = [
    "TextStream",
]
