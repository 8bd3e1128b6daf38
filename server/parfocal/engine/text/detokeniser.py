"""Turns tokens into text as they come, whole characters only. Knows no stop strings.

A short window of the latest tokens is decoded anew with each token, so that decoders which treat the first
token differently (Metaspace, Strip) see one before the new one; so does `tokenizers.decoders.DecodeStream`.
DecodeStream itself is not used: its window grows without end on special tokens and on invalid UTF-8.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer


_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# A UTF-8 character has up to four bytes, and a token that has text has at least one.
_CHARACTER_TOKENS = 4


class Detokeniser:
    """Decodes one growing sequence of tokens.

    The pieces add up to `tokenizer.decode(all ids, skip_special_tokens=True)`, less the replacement
    characters at its end: they may be half a character. Only on invalid bytes does a ByteFallback decoder
    differ: it takes back a valid character when invalid bytes follow it; that one has left, and stays.
    """

    def __init__(self, tokenizer: "Tokenizer") -> None:
        self._tokenizer = tokenizer
        self._window: list[int] = []
        self._text = ""  # the window's text
        self._left = 0  # how many of its characters have been returned
        self._context = 0  # how many of its tokens are only context for those after them

    def push(self, token_id: int) -> str:
        """The characters that became certain."""
        self._window.append(token_id)
        text = self._decode(self._window)
        if text == self._text and self._is_textless(token_id):
            self._window.pop()
            return ""
        self._text = text
        certain = len(text.rstrip(_REPLACEMENT))
        if certain == len(text):
            return self._release(certain, len(self._window))
        if len(self._window) - self._context >= _CHARACTER_TOKENS:
            return self._release_invalid(certain)
        return self._take(certain)

    def _release_invalid(self, certain: int) -> str:
        """Text that a character begun in the last tokens cannot change, though it may be invalid."""
        last = len(self._window)
        for tokens in range(last - 1, last - _CHARACTER_TOKENS, -1):
            head = self._decode(self._window[:tokens])
            # The two sides add up only if no character spans the cut.
            if head + self._decode(self._window[tokens:]) == self._text:
                return self._release(max(certain, len(head)), tokens)
        return self._take(certain)

    def _release(self, certain: int, tokens: int) -> str:
        """What is new in `certain` characters; the window's first `tokens` become mere context."""
        piece = self._take(certain)
        held = len(self._text) - self._left
        self._window = self._window[self._context :]
        self._context = tokens - self._context
        self._text = self._decode(self._window)
        self._left = max(0, len(self._text) - held)
        return piece

    def _take(self, certain: int) -> str:
        piece = self._text[self._left : certain]
        self._left = max(self._left, certain)
        return piece

    def _decode(self, token_ids: Sequence[int]) -> str:
        return self._tokenizer.decode(token_ids, skip_special_tokens=True)

    def _is_textless(self, token_id: int) -> bool:
        """Whether a token has no text anywhere: it is special, or the vocabulary has no such token."""
        return self._tokenizer.id_to_token(token_id) is None or (
            self._decode([token_id]) == ""
            and self._tokenizer.decode([token_id], skip_special_tokens=False) != ""
        )
