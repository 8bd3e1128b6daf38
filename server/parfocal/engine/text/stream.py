"""Turns one request's tokens into text as they come, ending at a stop string. Knows no requests."""

from collections.abc import Sequence

from tokenizers import Tokenizer

from parfocal.engine.text.detokeniser import Detokeniser
from parfocal.engine.text.stop_strings import StopStrings


class TextStream:
    """The text of one request: tokens become characters, which leave once no stop string can cut them.

    `stopped` is the stop string that ended the text, or empty. A token costs the same however long the text.
    """

    def __init__(self, tokenizer: Tokenizer, stop_strings: tuple[str, ...]) -> None:
        self.stopped = ""
        self._detokeniser = Detokeniser(tokenizer)
        self._stops = StopStrings(stop_strings)
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """Everything that has been returned so far."""
        return "".join(self._pieces)

    def push(self, token_ids: Sequence[int], *, may_stop: bool = True) -> str:
        """Returns the text that `token_ids` make certain: whole characters that no stop string can cut.

        Special tokens have no text. With `may_stop` false (before min_tokens) no stop string may use this
        text. After a stop nothing more is returned.
        """
        return self._emit("".join(self._scan(self._detokeniser.push(one), may_stop) for one in token_ids))

    def finish(self) -> str:
        """Returns what was held back for a stop string that never came; never half a character."""
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
