"""Turns rows into token ids with labels: answers to learn keep their ids, everything else is masked.

Answers begin exactly where serving would start generating, and end with the token at which serving stops.
"""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

from parfocal.engine import ChatRefused
from parfocal.engine.chats import Written
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.rows import Row

MASKED = -100  # what torch's cross entropy ignores


@dataclass(frozen=True, slots=True)
class Sample:
    """A row in tokens: `labels` equal `ids` where the adapter learns and are MASKED elsewhere; same length.

    `merged` says that joining prompt and answer would have merged tokens, so they were encoded apart, as
    serving meets them; `ends` that every learnt answer that was not cut ends with a stop token; `tools` that
    the names of all tools that may be called are written somewhere.
    """

    row: Row
    ids: "array[int]"
    labels: "array[int]"
    merged: bool = False
    ends: bool = True
    tools: bool = True

    @property
    def learnt(self) -> int:
        """How many tokens the loss is taken over; nothing predicts the first token of a row."""
        return sum(label != MASKED for label in self.labels[1:])

    @property
    def size(self) -> int:
        """The tokens of prompt and answers."""
        return len(self.ids)

    @property
    def raw(self) -> bool:
        """Whether it was written without a chat template."""
        return self.row.raw

    def cut(self, tokens: int) -> "Sample":
        return replace(self, ids=self.ids[:tokens], labels=self.labels[:tokens])


class RenderFault(Exception):
    """A row that cannot be turned into tokens faithfully; carries the finding's code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def render(row: Row, encoder: BaseEncoder) -> Sample:
    """Turns `row` into tokens; raises RenderFault."""
    return _render_raw(row, encoder) if row.raw else _render_chat(row, encoder)


def prompt_ids(row: Row, encoder: BaseEncoder) -> list[int]:
    """The prompt that serving would get for this row; raises RenderFault."""
    if row.raw:
        return encoder.encode("".join(turn.content for turn in row.prompt), special=True)
    try:
        return encoder.chat_ids(encoder.write(row.prompt, row.tools, generation_prompt=True))
    except ChatRefused as refusal:
        raise _refused(refusal) from refusal


def _refused(refusal: ChatRefused) -> RenderFault:
    return RenderFault("TEMPLATE_REFUSES", f"cannot be written with the chat template; first: {refusal}")


def _render_raw(row: Row, encoder: BaseEncoder) -> Sample:
    if len(row.turns) == 1:
        return _render_text(row, encoder)
    prompt, completion = (turn.content for turn in row.turns)
    before = encoder.encode(prompt, special=True)
    whole = encoder.encode(prompt + completion, special=True)
    merged = whole[: len(before)] != before
    answer = encoder.encode(completion, special=False) if merged else whole[len(before) :]
    if answer[-1:] != [encoder.eos_id]:
        answer = [*answer, encoder.eos_id]
    labels = [MASKED] * len(before) + answer
    return Sample(row, array("i", before + answer), array("i", labels), merged)


def _render_text(row: Row, encoder: BaseEncoder) -> Sample:
    """A text without a prompt: all of it is learnt, and that it ends."""
    ids = encoder.encode(row.turns[0].content, special=True)
    if ids[-1:] != [encoder.eos_id]:
        ids = [*ids, encoder.eos_id]
    return Sample(row, array("i", ids), array("i", ids))


def _render_chat(row: Row, encoder: BaseEncoder) -> Sample:
    """Renders answer by answer: whatever precedes one must be exactly the prompt that serving would build."""
    try:
        written = encoder.write(row.turns, row.tools, generation_prompt=False, marks=True)
        spans = [_span(row, index, written, encoder) for index, turn in enumerate(row.turns) if turn.learn]
    except ChatRefused as refusal:
        raise _refused(refusal) from refusal
    told = all(name in written.text for name in row.tool_names)
    whole = encoder.chat_ids(written)
    bounds = [_bound(whole, part, encoder) for span in spans for part in span]
    if None not in bounds:
        known = [bound for bound in bounds if bound is not None]
        answers = list(zip(known[::2], known[1::2], strict=True))
        return replace(_labelled(row, whole, answers, encoder, encoder.answer_mask(written)), tools=told)
    places = [(len(before.text), len(after.text)) for before, after in spans]
    pieces = [encoder.encode(piece, special=False) for piece in _pieces(written.text, places)]
    ends = list(accumulate(len(piece) for piece in pieces))
    answers = list(zip(ends[::2], ends[1::2], strict=False))
    apart = [token for piece in pieces for token in piece]
    return replace(_labelled(row, apart, answers, encoder), merged=True, tools=told)


def _labelled(
    row: Row,
    ids: list[int],
    spans: Sequence[tuple[int, int]],
    encoder: BaseEncoder,
    mask: Sequence[bool] | None = None,
) -> Sample:
    """The sample that learns the tokens of `spans`, each through its first stop token.

    Where the template marks its answers, `mask`, only marked tokens are learnt.
    """
    labels = [MASKED] * len(ids)
    stops = True
    for start, end in spans:
        stop = next((at for at in range(start, end) if ids[at] in encoder.end_ids), None)
        stops &= stop is not None and (mask is None or mask[stop])
        last = end if stop is None else stop + 1  # a template may write a line break after the stop token
        labels[start:last] = [
            token if mask is None or mask[at] else MASKED for at, token in enumerate(ids[start:last], start)
        ]
    return Sample(row, array("i", ids), array("i", labels), ends=stops)


def _bound(whole: list[int], part: Written, encoder: BaseEncoder) -> int | None:
    """How many of the `whole` tokens spell the leading `part`; None where a token crosses its end."""
    ids = encoder.chat_ids(part)
    return len(ids) if whole[: len(ids)] == ids else None


def _span(row: Row, index: int, whole: Written, encoder: BaseEncoder) -> tuple[Written, Written]:
    """What comes before turn `index` in `whole`, and all through the end of it, its stop token included."""
    before = encoder.write(row.turns[:index], row.tools, generation_prompt=True)
    after = encoder.write(row.turns[: index + 1], row.tools, generation_prompt=False)
    if not after.text.startswith(before.text):
        raise RenderFault(
            "TEMPLATE_UNSTABLE",
            "are rendered so that the answer does not follow the prompt that serving builds; the base's chat "
            "template cannot be trained on",
        )
    if not whole.text.startswith(after.text):
        raise RenderFault(
            "TEMPLATE_REWRITES",
            "have answers that the chat template rewrites once more turns follow; give one row per answer, "
            "or weight 0 to the earlier answers",
        )
    answer = after.text[len(before.text) :]
    if not all(name in answer for name in row.turns[index].called):
        raise RenderFault(
            "TOOL_CALLS_LOST",
            "have answers that call tools, and the base's chat template does not write the calls, so that "
            "the adapter would learn to say nothing; train on a base whose template writes them, or give "
            "the calls as text",
        )
    if row.turns[index].content.strip() not in answer:
        raise RenderFault("ANSWER_LOST", "have answers that the chat template does not write out as they are")
    return before, after


def _pieces(text: str, spans: Sequence[tuple[int, int]]) -> list[str]:
    """Cuts `text` at the spans: what is before an answer, the answer, what is before the next, …"""
    cuts = [0, *(end for span in spans for end in span), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]
