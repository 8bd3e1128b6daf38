"""Log-probabilities as completions tell them: four lists, with places in the text. Knows no route."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from parfocal.engine import TokenLogprob

# How far ahead a token of the prompt is looked for: those that are no text by themselves stand before it.
_AHEAD = 16


@dataclass(slots=True)
class TextLogprobs:
    """Writes the log-probabilities of one prompt's choices, piece by piece.

    Offsets are places in the choice's whole text, which begins with `echo`; `places` counts the characters of
    each choice so far.
    """

    token_text: Callable[[int], str]
    echo: str
    prompt_ids: Sequence[int]
    places: dict[int, int] = field(default_factory=dict)

    def written(
        self, number: int, prompt: Sequence[TokenLogprob | None], answer: Sequence[TokenLogprob]
    ) -> dict[str, Any]:
        """Those of a piece of the choice `number`: the prompt's tokens, if they are in it, and the answer's.

        The prompt's first token has none: nothing stands before it.
        """
        ids = [*self.prompt_ids[: len(prompt)], *(each.token_id for each in answer)]
        entries = [*prompt, *answer]
        texts = [self.token_text(each) for each in ids]
        return {
            "tokens": texts,
            "token_logprobs": [None if each is None else each.logprob for each in entries],
            "top_logprobs": [None if each is None else self._top(each) for each in entries],
            "text_offset": [
                *self._prompt_offsets(texts[: len(prompt)]),
                *self._answer_offsets(number, texts[len(prompt) :]),
            ],
        }

    def _top(self, each: TokenLogprob) -> dict[str, float]:
        """The likeliest and the token itself; of tokens with the same text, the likeliest counts."""
        told: dict[str, float] = {}
        for token_id, logprob in each.top:
            told.setdefault(self.token_text(token_id), logprob)
        told.setdefault(self.token_text(each.token_id), each.logprob)
        return told

    def _prompt_offsets(self, texts: Sequence[str]) -> list[int]:
        """A token that is not in the text, such as a beginning-of-text, has the place of what follows it."""
        offsets, place = [], 0
        for text in texts:
            found = self.echo.find(text, place, place + len(text) + _AHEAD)
            place = place if found < 0 else found
            offsets.append(place)
            place += 0 if found < 0 else len(text)
        return offsets

    def _answer_offsets(self, number: int, texts: Sequence[str]) -> list[int]:
        offsets, place = [], self.places.get(number, len(self.echo))
        for text in texts:
            offsets.append(place)
            place += len(text)
        self.places[number] = place
        return offsets
