"""The part of a data set that costs more to look at: its tokens, and which rows are nearly the same.

All rows while they are few, then every second, every fourth, …: so a file of any size is sampled evenly, in
one pass, at a bounded cost of memory.
"""

from array import array
from collections.abc import Iterator, Mapping, Sequence

from parfocal.training.data.checks.lengths import Lengths
from parfocal.training.data.checks.near_rows import NearRows, Phrases, text_of
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.rendering import MASKED, RenderFault, prompt_ids
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, row_of
from parfocal.training.data.tokens import Truncation, tokenise
from parfocal.training.findings import Finding, Findings, Severity

FIRST_BATCH = 2000  # rows that tell which phrases are common
BATCH = 256
_HELD = 2_000_000  # characters of rows that are gathered
_KINDS = ("row", "prompt", "answer")


class SampledRows:
    """Takes all rows and looks at an even sample of them, of at most `most` rows."""

    def __init__(
        self, most: int, held_out: Sequence[Example], encoder: BaseEncoder | None, max_length: int | None
    ) -> None:
        self._most, self._held_out = most, held_out
        self._encoder, self._max_length = encoder, max_length
        self._truncation = None if max_length is None else Truncation(max_length)
        self._batch: list[Example] = []
        self._held = 0
        self._near: NearRows | None = None
        self._stride, self._seen, self._kept = 1, 0, 0
        self._counts = {name: array("L") for name in _KINDS}
        self._findings = Findings()

    @property
    def rows(self) -> int:
        """Of how many rows tokens were counted."""
        return len(self._counts["row"])

    @property
    def lengths(self) -> Mapping[str, Lengths]:
        """How many tokens whole rows, prompts and answers have."""
        found = {name: Lengths.of(counts) for name, counts in self._counts.items()}
        return {name: lengths for name, lengths in found.items() if lengths is not None}

    def add(self, example: Example) -> None:
        """Takes a row; what is looked at together is gathered first."""
        self._batch.append(example)
        self._held += sum(len(turn.content) for turn in row_of(example).turns)
        if len(self._batch) >= (FIRST_BATCH if self._near is None else BATCH) or self._held > _HELD:
            self._look()

    def findings(self) -> Iterator[Finding]:
        """What was found in the sample, once all rows were taken."""
        near = self._look()
        yield from self._findings.as_tuple()
        yield from () if self._truncation is None else self._truncation.findings()
        yield from near.held_out_findings()
        yield from near.findings()

    def _look(self) -> NearRows:
        batch, self._batch, self._held = self._batch, [], 0
        if self._near is None:
            self._near = NearRows(Phrases([text_of(row_of(each)) for each in batch]), self._held_out)
        chosen = [each for at, each in enumerate(batch, self._seen) if at % self._stride == 0]
        self._seen += len(batch)
        self._near.add(chosen, keep=True)
        if self._held_out and self._stride > 1:  # every row could be one that is held out
            self._near.add(batch, keep=False)
        if self._encoder is not None:
            for start in range(0, len(chosen), BATCH):
                self._count(chosen[start : start + BATCH], self._encoder)
        self._kept += len(chosen)
        while self._kept > self._most:
            self._thin(self._near)
        return self._near

    def _thin(self, near: NearRows) -> None:
        self._stride *= 2
        self._kept = (self._kept + 1) // 2
        near.thin()
        self._counts = {name: counts[::2] for name, counts in self._counts.items()}

    def _count(self, chosen: Sequence[Example], encoder: BaseEncoder) -> None:
        asked = [each.row for each in chosen if isinstance(each, PromptRow)]
        for row in asked:
            self._count_prompt(row, encoder)
        tokenised = tokenise([row for each in chosen for row in _learnt_rows(each)], encoder)
        self._findings.extend(tokenised.findings)
        for sample in tokenised.samples:
            if self._truncation is not None:
                self._truncation.cut(sample)
            learnt = sum(label != MASKED for label in sample.labels)
            self._note(len(sample.ids), len(sample.ids) - learnt, learnt)

    def _count_prompt(self, row: Row, encoder: BaseEncoder) -> None:
        try:
            length = len(prompt_ids(row, encoder))
        except RenderFault as fault:
            self._findings.add(Finding(Severity.ERROR, fault.code, str(fault), row.source, (row.line,)))
            return
        self._note(length, length, 0)
        if self._max_length is not None and length >= self._max_length:
            message = f"have prompts of {self._max_length} tokens and more, so there is no room to answer"
            fix = "shorten the prompt or raise --max-length"
            self._findings.add(
                Finding(Severity.ERROR, "NOTHING_TO_LEARN", message, row.source, (row.line,), fix)
            )

    def _note(self, *lengths: int) -> None:
        for name, length in zip(_KINDS, lengths, strict=True):
            self._counts[name].append(length)


def _learnt_rows(example: Example) -> tuple[Row, ...]:
    if isinstance(example, PromptRow):
        return ()
    return (example.chosen, example.rejected) if isinstance(example, PreferenceRow) else (row_of(example),)
