"""The log-probabilities of a prompt's tokens, held in few bytes: there may be a hundred thousand."""

from array import array
from collections.abc import Sequence
from typing import overload

from parfocal.engine.request import TokenLogprob


class PromptLogprobs(Sequence[TokenLogprob | None]):
    """An entry for each prompt token so far, None for the first; entries are made when they are read.

    `top` of the likeliest tokens stand beside each. Grows while the prompt is computed.
    """

    def __init__(self, prompt_ids: Sequence[int], top: int) -> None:
        self._prompt_ids = prompt_ids
        self._top = top
        self._logprobs = array("f")
        self._top_ids = array("i")
        self._top_logprobs = array("f")

    def extend(self, logprobs: "array[float]", top_ids: "array[int]", top_logprobs: "array[float]") -> None:
        """Adds the next tokens' log-probabilities, and for each `top` ids and their log-probabilities."""
        assert len(top_ids) == len(top_logprobs) == self._top * len(logprobs)
        self._logprobs.extend(logprobs)
        self._top_ids.extend(top_ids)
        self._top_logprobs.extend(top_logprobs)

    def __len__(self) -> int:
        return len(self._logprobs) + 1

    @overload
    def __getitem__(self, index: int) -> TokenLogprob | None: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[TokenLogprob | None, ...]: ...

    def __getitem__(self, index: int | slice) -> TokenLogprob | tuple[TokenLogprob | None, ...] | None:
        """The entry of one prompt token, or of several."""
        places = range(len(self))[index]
        return self._entry(places) if isinstance(places, int) else tuple(map(self._entry, places))

    def _entry(self, place: int) -> TokenLogprob | None:
        if place == 0:
            return None
        own = slice(self._top * (place - 1), self._top * place)
        top = tuple(zip(self._top_ids[own], self._top_logprobs[own], strict=True))
        return TokenLogprob(self._prompt_ids[place], self._logprobs[place - 1], top)
