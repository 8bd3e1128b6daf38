"""Turns examples of every kind into what their method learns from, in tokens, and names what is at fault."""

from array import array
from collections.abc import Sequence
from dataclasses import replace

from parfocal.engine import ChatRefused
from parfocal.registry.values import JSON, dumps
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.learnable import Judged, Learnable, Pair, Question
from parfocal.training.data.rendering import Sample
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, UnpairedRow
from parfocal.training.data.tokens import cut, special_texts, tokenise
from parfocal.training.findings import Finding, Findings, Severity


def learnable(examples: Sequence[Example], encoder: BaseEncoder, findings: Findings) -> tuple[Learnable, ...]:
    """The examples, all of one kind, in tokens; those at fault have a finding and are left out."""
    rows = [example for example in examples if isinstance(example, Row)]
    pairs = [example for example in examples if isinstance(example, PreferenceRow)]
    judged = [example for example in examples if isinstance(example, UnpairedRow)]
    prompts = [example for example in examples if isinstance(example, PromptRow)]
    return (
        *_samples(rows, encoder, findings),
        *_pairs(pairs, encoder, findings),
        *_judged(judged, encoder, findings),
        *_questions(prompts, encoder, findings),
    )


def shortened(found: Sequence[Learnable], limit: int, room: int, findings: Findings) -> tuple[Learnable, ...]:
    """All of it cut to `limit` tokens. A question that leaves less than `room` for its answer is at fault."""
    for samples in _sides(found):
        findings.extend(cut(samples, limit).findings)
    long = [each for each in found if isinstance(each, Question) and each.size + room > limit]
    if long:
        message = (
            f"have prompts that leave no room for {room} tokens of an answer within {limit}; shorten them, "
            "or lower --answer-tokens"
        )
        lines = tuple(each.line for each in long)
        findings.add(Finding(Severity.ERROR, "NOTHING_TO_LEARN", message, long[0].source, lines))
    return tuple(each if isinstance(each, Question) else each.cut(limit) for each in found)


def learnt_tokens(found: Sequence[Learnable]) -> int:
    """How many tokens of answers there are to learn from."""
    return sum(sample.learnt for samples in _sides(found) for sample in samples)


def rendered_as_chats(example: Example) -> Example:
    """The example, to be written through the chat template."""
    if isinstance(example, Row):
        return replace(example, raw=False)
    if isinstance(example, PreferenceRow):
        return PreferenceRow(replace(example.chosen, raw=False), replace(example.rejected, raw=False))
    return replace(example, row=replace(example.row, raw=False))


def content_key(example: Example) -> bytes:
    """Bytes that are equal for examples which teach exactly the same."""
    if isinstance(example, PreferenceRow):
        return dumps([key.hex() for key in (example.chosen.content_key(), example.rejected.content_key())])
    if isinstance(example, UnpairedRow):
        return dumps([example.row.content_key().hex(), example.good])
    if isinstance(example, PromptRow):
        return dumps([example.row.content_key().hex(), dict(example.fields)])
    return example.content_key()


def _sides(found: Sequence[Learnable]) -> list[list[Sample]]:
    """The samples in it, those of a pair apart, so that a line is counted once in each."""
    firsts = [each.chosen if isinstance(each, Pair) else each for each in found]
    firsts = [each.answer if isinstance(each, Judged) else each for each in firsts]
    seconds = [each.rejected for each in found if isinstance(each, Pair)]
    return [[each for each in firsts if isinstance(each, Sample)], seconds]


def _samples(rows: Sequence[Row], encoder: BaseEncoder, findings: Findings) -> tuple[Sample, ...]:
    tokenised = tokenise(rows, encoder)
    findings.extend(tokenised.findings)
    return tokenised.samples


def _pairs(pairs: Sequence[PreferenceRow], encoder: BaseEncoder, findings: Findings) -> list[Pair]:
    chosen = _by_place(_samples([pair.chosen for pair in pairs], encoder, findings))
    rejected = _by_place(_samples([pair.rejected for pair in pairs], encoder, findings))
    both = [place for place in chosen if place in rejected]
    return [Pair(chosen[place], rejected[place]) for place in both]


def _judged(rows: Sequence[UnpairedRow], encoder: BaseEncoder, findings: Findings) -> list[Judged]:
    good = {(each.row.source, each.row.line): each.good for each in rows}
    found = _by_place(_samples([each.row for each in rows], encoder, findings))
    return [Judged(sample, good[place]) for place, sample in found.items()]


def _questions(rows: Sequence[PromptRow], encoder: BaseEncoder, findings: Findings) -> list[Question]:
    chats = [each.row for each in rows if not each.row.raw]
    if chats and not encoder.has_template:
        message = "are chats, but the base has no chat template; use prompts that are plain text"
        lines = tuple(row.line for row in chats)
        findings.add(Finding(Severity.ERROR, "NO_TEMPLATE", message, chats[0].source, lines))
        return []
    if rows:
        findings.extend(special_texts([each.row for each in rows], encoder, rows[0].row.source))
    found = []
    for each in rows:
        row = each.row
        try:
            ids = _question_ids(row, encoder)
        except ChatRefused as refusal:
            message = f"cannot be written with the chat template; first: {refusal}"
            findings.add(Finding(Severity.ERROR, "TEMPLATE_REFUSES", message, row.source, (row.line,)))
            continue
        found.append(Question(row.source, row.line, array("i", ids), row.raw, _item(each), row))
    return found


def _question_ids(row: Row, encoder: BaseEncoder) -> list[int]:
    """The prompt that serving would get; raises ChatRefused."""
    if row.raw:
        return encoder.encode(row.turns[0].content, special=True)
    return encoder.chat_ids(encoder.write(row.turns, row.tools, generation_prompt=True))


def _item(each: PromptRow) -> dict[str, JSON]:
    """What graders see of the row: its fields, and its last message as `prompt`."""
    return {"prompt": each.row.turns[-1].content, **each.fields}


def _by_place(samples: Sequence[Sample]) -> dict[tuple[str, int], Sample]:
    return {(sample.row.source, sample.row.line): sample for sample in samples}
