"""Turns one request's tokens into text as they come, ending at a stop string. Knows no requests."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from parfocal.engine.text.detokeniser import Detokeniser

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class TextStream:
    """The text of one request: tokens become characters, which leave once no stop string can cut them.

    `stopped` is the stop string that ended the text, or empty. A token costs the same however long the text.
    """

    def __init__(self, tokenizer: "Tokenizer", stop_strings: tuple[str, ...]) -> None:
        self.stopped = ""
        self._detokeniser = Detokeniser(tokenizer)
        self._stops = StopStrings(stop_strings)
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """Everything that has been returned so far."""
        return "".join(self._pieces)

    def push(self, token_ids: Sequence[int], *, may_stop: bool = True) -> str:
        """The text that `token_ids` make certain: whole characters that no stop string can cut.

        Special tokens have no text. With `may_stop` false (before min_tokens) no stop string may use this
        text. After a stop nothing more is returned.
        """
        return self._emit("".join(self._scan(self._detokeniser.push(one), may_stop) for one in token_ids))

    def finish(self) -> str:
        """What was held back for a stop string that never came; never half a character."""
        return "" if self.stopped else self._emit(self._stops.give_up())

    def _scan(self, text: str, may_stop: bool) -> str:
        if self.stopped or not text:
            return ""
        if not may_stop:
            return self._stops.give_up() + text
        certain, self.stopped = self._stops.push(text)
        return certain

    def _emit(self, text: str) -> str:
        if text:
            self._pieces.append(text)
        return text


class StopStrings:
    """Finds stop strings in text that arrives in pieces: the match that ends first, of several the longest.

    So the split into pieces changes nothing, and a match never waits for a longer one. Empty stop strings
    never match. Each character is looked at about once per stop string, whatever their lengths: Knuth, Morris
    and Pratt, "Fast pattern matching in strings", SIAM Journal on Computing 6(2), 1977.
    """

    def __init__(self, strings: tuple[str, ...]) -> None:
        # Longest first: of two that end at the same character, the longer began first.
        ordered = sorted({one for one in strings if one}, key=len, reverse=True)
        self._patterns = [(one, _fallbacks(one)) for one in ordered]
        self._matched = [0] * len(ordered)
        self._held = ""

    def push(self, text: str) -> tuple[str, str]:
        """The text that no stop string can still cut, and the stop string found or an empty one.

        With a match the text ends before it, and the scan is over.
        """
        if not self._patterns:
            return text, ""
        seen = self._held + text
        for place, character in enumerate(text, start=len(self._held)):
            if stop := self._advance(character):
                return seen[: place + 1 - len(stop)], stop
        certain = len(seen) - max(self._matched)
        self._held = seen[certain:]
        return seen[:certain], ""

    def give_up(self) -> str:
        """Gives out the text held back: it can no longer become a stop string."""
        held, self._held = self._held, ""
        self._matched = [0] * len(self._matched)
        return held

    def _advance(self, character: str) -> str:
        """Advances every match by one character; returns the stop string that it completes, or ""."""

        for which, (pattern, fallbacks) in enumerate(self._patterns):
            length = self._matched[which]
            while length and pattern[length] != character:
                length = fallbacks[length - 1]
            length += pattern[length] == character
            self._matched[which] = length
            if length == len(pattern):
                return pattern
        return ""


def _fallbacks(pattern: str) -> list[int]:
    """Returns, for each prefix of `pattern`, the length of its longest proper prefix that is also its end."""
    lengths = [0] * len(pattern)
    length = 0
    for place in range(1, len(pattern)):
        while length and pattern[length] != pattern[place]:
            length = lengths[length - 1]
        length += pattern[length] == pattern[place]
        lengths[place] = length
    return lengths
