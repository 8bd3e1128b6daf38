"""From tokens to text as it becomes certain: whole characters, cut at stop strings."""

from parfocal.engine.text.end_tokens import end_token_ids
from parfocal.engine.text.stream import TextStream

__all__ = [
    "TextStream",
    "end_token_ids",
]
