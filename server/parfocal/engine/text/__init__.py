"""From tokens to text as it becomes certain: whole characters, cut at stop strings."""

from parfocal.engine.text.end_tokens import end_token_ids
from parfocal.engine.text.stream import TextStream
from parfocal.engine.text.tokenizer_faults import TokenizerFaults, tokenizer_fault

__all__ = [
    "TextStream",
    "TokenizerFaults",
    "end_token_ids",
    "tokenizer_fault",
]
