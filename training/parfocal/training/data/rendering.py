"""Turns rows into token ids with labels: the learnt answers keep their ids, all else is masked.

Answers begin exactly where serving would start to write them, and end with the token at which serving stops.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from parfocal.training.data.encoder import BaseEncoder, TemplateRefusal
from parfocal.training.data.rows import Row

MASKED = -100  # what torch's cross entropy ignores


@dataclass(frozen=True, slots=True)
class Sample:
    """A row in tokens: `labels` equal `ids` where the adapter learns and are MASKED elsewhere; same length.

    `merged` says that joining prompt and answer would have merged tokens, so they were encoded apart, as
    serving meets them; `ends` that every learnt answer that was not cut ends with a stop token.
    """

    row: Row
    ids: "array[int]"
    labels: "array[int]"
    merged: bool = False
    ends: bool = True

    @property
    def learnt(self) -> int:
        """How many tokens the loss is taken over; nothing predicts the first token of a row."""
        return sum(label != MASKED for label in self.labels[1:])

    def cut(self, tokens: int) -> "Sample":
        """Returns the first `tokens` tokens of the sample."""
        return Sample(self.row, self.ids[:tokens], self.labels[:tokens], self.merged, self.ends)


class RenderFault(Exception):
    """A row that cannot be turned into tokens faithfully; carries the finding's code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def render(row: Row, encoder: BaseEncoder) -> Sample:
    """Returns `row` in tokens; raises RenderFault."""
    return _render_raw(row, encoder) if row.raw else _render_chat(row, encoder)


def prompt_ids(row: Row, encoder: BaseEncoder) -> list[int]:
    """Returns the tokens that serving would be given to answer this row; raises RenderFault."""
    if row.raw:
        return encoder.encode(row.prompt[0].content, special=True)
    try:
        return encoder.encode(encoder.chat(row.prompt, generation_prompt=True), special=False)
    except TemplateRefusal as refusal:
        raise RenderFault(
            "TEMPLATE_REFUSES", f"are refused by the chat template; first: {refusal}"
        ) from refusal


def _render_raw(row: Row, encoder: BaseEncoder) -> Sample:
    prompt, completion = (turn.content for turn in row.turns)
    before = encoder.encode(prompt, special=True)
    whole = encoder.encode(prompt + completion, special=True)
    merged = whole[: len(before)] != before
    answer = encoder.encode(completion, special=False) if merged else whole[len(before) :]
    if answer[-1:] != [encoder.eos_id]:
        answer = [*answer, encoder.eos_id]
    labels = [MASKED] * len(before) + answer
    return Sample(row, array("i", before + answer), array("i", labels), merged)


def _render_chat(row: Row, encoder: BaseEncoder) -> Sample:
    """Renders answer by answer: what precedes each must be exactly the prompt that serving would build."""
    try:
        text = encoder.chat(row.turns, generation_prompt=False)
        spans = [_span(row, index, text, encoder) for index, turn in enumerate(row.turns) if turn.learn]
    except TemplateRefusal as refusal:
        raise RenderFault(
            "TEMPLATE_REFUSES", f"are refused by the chat template; first: {refusal}"
        ) from refusal
    whole = encoder.encode(text, special=False)
    marks = [_mark(whole, text[:end], encoder) for span in spans for end in span]
    if None not in marks:
        bounds = [mark for mark in marks if mark is not None]
        return _labelled(row, whole, list(zip(bounds[::2], bounds[1::2], strict=True)), encoder)
    pieces = [encoder.encode(piece, special=False) for piece in _pieces(text, spans)]
    ends = list(accumulate(len(piece) for piece in pieces))
    return _labelled(
        row,
        [token for piece in pieces for token in piece],
        list(zip(ends[::2], ends[1::2], strict=False)),
        encoder,
        merged=True,
    )


def _labelled(
    row: Row, ids: list[int], spans: Sequence[tuple[int, int]], encoder: BaseEncoder, *, merged: bool = False
) -> Sample:
    """Returns the sample that learns the tokens of `spans`, each through its first stop token."""
    labels = [MASKED] * len(ids)
    stops = True
    for start, end in spans:
        stop = next((at for at in range(start, end) if ids[at] in encoder.end_ids), None)
        stops &= stop is not None
        last = end if stop is None else stop + 1  # a template may write a line break after the stop token
        labels[start:last] = ids[start:last]
    return Sample(row, array("i", ids), array("i", labels), merged, stops)


def _mark(whole: list[int], text: str, encoder: BaseEncoder) -> int | None:
    """Returns how many of the `whole` tokens spell the leading `text`; None where a token crosses its end."""
    ids = encoder.encode(text, special=False)
    return len(ids) if whole[: len(ids)] == ids else None


def _span(row: Row, index: int, text: str, encoder: BaseEncoder) -> tuple[int, int]:
    """Returns where turn `index` begins and ends in `text`, its end-of-turn token included."""
    before = encoder.chat(row.turns[:index], generation_prompt=True)
    after = encoder.chat(row.turns[: index + 1], generation_prompt=False)
    if not after.startswith(before):
        raise RenderFault(
            "TEMPLATE_UNSTABLE",
            "are rendered so that the answer does not follow the prompt that serving builds; the base's chat "
            "template cannot be trained on",
        )
    if not text.startswith(after):
        raise RenderFault(
            "TEMPLATE_REWRITES",
            "have answers that the chat template rewrites once more turns follow; give one row per answer, "
            "or weight 0 to the earlier answers",
        )
    if row.turns[index].content.strip() not in after[len(before) :]:
        raise RenderFault("ANSWER_LOST", "have answers that the chat template does not write out as they are")
    return len(before), len(after)


def _pieces(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """Returns `text` cut at the spans: what is before an answer, the answer, what is before the next, …"""
    cuts = [0, *(end for span in spans for end in span), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]
