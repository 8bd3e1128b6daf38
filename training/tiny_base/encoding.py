"""Turns documents into token ids with a loss weight for every token."""

from dataclasses import dataclass

from tokenizers import Tokenizer

from tiny_base.tokenizer import END, START, special_id, word_pieces
from tiny_base.writing.document import Document
from tiny_base.writing.source import Source

# Context teaches the words, answers teach the skill: one context token in five counts, and counts half.
_CONTEXT_SHARE = 0.2
_CONTEXT_WEIGHT = 0.5


@dataclass(frozen=True, slots=True)
class Encoded:
    """Token ids of one document and, of the same length, their weights in the loss."""

    tokens: tuple[int, ...]
    weights: tuple[float, ...]


class Encoder:
    """Renders documents as the chat template does and marks what is learnt."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Looks up the special tokens and the pieces of words."""
        self.word_pieces = word_pieces(tokenizer)
        self._tokenizer = tokenizer
        self._start = special_id(tokenizer, START)
        self._end = special_id(tokenizer, END)

    def encode(self, document: Document, source: Source | None = None) -> Encoded:
        """Ids and weights; without a `source` only the answers count (for evaluation)."""
        tokens: list[int] = []
        weights: list[float] = []
        for text, learnt in _pieces(document):
            ids = self._ids(text)
            tokens += ids
            weights += [1.0 if learnt else self._context_weight(source) for _ in ids]
        return Encoded(tuple(tokens), tuple(weights))

    def _ids(self, text: str) -> list[int]:
        if text == START:
            return [self._start]
        return (
            [self._end] if text == END else list(self._tokenizer.encode(text, add_special_tokens=False).ids)
        )

    @staticmethod
    def _context_weight(source: Source | None) -> float:
        return _CONTEXT_WEIGHT if source is not None and source.chance(_CONTEXT_SHARE) else 0.0


def _pieces(document: Document) -> list[tuple[str, bool]]:
    """Pairs (text, is it learnt?) in the order of the chat template; raw text ends with the end mark."""
    if not document.turns:
        return [(document.context, False), (document.learnt, True), (END, True)]
    pieces: list[tuple[str, bool]] = []
    for turn in document.turns:
        learnt = turn.role == "assistant" and turn.learnt
        pieces += [
            (START, False),
            (f"{turn.role}\n", False),
            (turn.content, learnt),
            (END, learnt),
            ("\n", False),
        ]
    return pieces
