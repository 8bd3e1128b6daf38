"""Rows that are nearly the same: within a file, and between rows to train on and held-out rows.

What many rows share, such as a fixed instruction, tells nothing: runs of characters that are in more than one
of twenty of the first rows do not count.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from parfocal.training.data.checks.minhash import (
    BINS,
    Grams,
    NearIndex,
    Signature,
    Signatures,
    alike_within,
    grams,
    signature,
    without,
)
from parfocal.training.data.likeness import told_run
from parfocal.training.data.rows import Example, Row, normalised, row_of
from parfocal.training.findings import Finding, Severity

LEAST = 0.8
_FEW_ROWS = 10
_PHRASE_PART = 20
_FEW_GRAMS = 8  # of less that tells nothing can be said
_COMPARED = 4000  # characters
_LOOKED_AT = 20_000  # characters of a row
_KEPT = 1000


class Phrases:
    """Runs of characters that too many rows have to tell anything."""

    def __init__(self, texts: Sequence[str]) -> None:
        """Learns them from the first rows of a file."""
        counted = [grams(text) for text in texts]
        every, counts = np.unique(np.concatenate(counted), return_counts=True) if counted else ([], [])
        most = max(_FEW_ROWS, len(texts) // _PHRASE_PART)
        self._common: Grams = np.asarray(every, np.uint64)[np.asarray(counts, np.int64) > most]

    def signature(self, text: str) -> Signature | None:
        """The signature of what `text` tells; None where it tells too little."""
        telling = without(grams(text), self._common)
        return signature(telling) if len(telling) >= _FEW_GRAMS else None


class NearRows:
    """Gathers rows to train on, compares them with `held_out`, and with one another at the end."""

    def __init__(self, phrases: Phrases, held_out: Sequence[Example]) -> None:
        self._phrases = phrases
        self._held_out, known = self._signed(held_out)
        self._index = NearIndex(known) if self._held_out else None
        self._rows: list[tuple[str, int, str]] = []
        self._signatures: list[Signature] = []
        self._pairs: dict[int, tuple[Row, float]] = {}

    def add(self, examples: Sequence[Example], *, keep: bool) -> None:
        """Compares rows with the held-out ones; those to `keep` are compared with one another, too."""
        rows, signatures = self._signed(examples)
        if self._index is not None and rows:
            for at, place in self._index.like(signatures, LEAST):
                self._pairs.setdefault(place, (rows[at], 0.0))
        if keep:
            for row, signed in zip(rows, signatures, strict=True):
                self._rows.append((row.source, row.line, text_of(row)[:_COMPARED]))
                self._signatures.append(signed)

    def thin(self) -> None:
        """Lets go of every second row that was kept."""
        self._rows, self._signatures = self._rows[::2], self._signatures[::2]

    def held_out_findings(self) -> Iterator[Finding]:
        """Warns of held-out rows that are nearly the same as a row to train on."""
        if not self._pairs:
            return
        place = min(self._pairs)
        here, (there, _) = self._held_out[place], self._pairs[place]
        message = (
            "are nearly the same as rows that training sees, so the score may measure memory; "
            f"first: {here.source} line {here.line} is like {there.source} line {there.line}"
            f"{told_run(text_of(here), text_of(there))}"
        )
        lines = tuple(sorted(self._held_out[at].line for at in self._pairs))
        fix = "take them out of one side, or hold out other rows"
        yield Finding(Severity.WARNING, "NEAR_DUPLICATE", message, here.source, lines, fix)

    def findings(self) -> Iterator[Finding]:
        """Notes rows to train on that are nearly an earlier one."""
        if not self._signatures:
            return
        pairs = list(alike_within(np.stack(self._signatures), LEAST))
        pairs = [
            (later, earlier) for later, earlier in pairs if self._rows[later][2] != self._rows[earlier][2]
        ]
        if not pairs:
            return
        source, line, text = self._rows[pairs[0][0]]
        _, other_line, other = self._rows[pairs[0][1]]
        message = (
            "are nearly the same as an earlier row, so they teach little more; "
            f"first: line {line} is like line {other_line}{told_run(text, other)}"
        )
        lines = sorted(self._rows[later][1] for later, _ in pairs)
        fix = "keep the best of each kind; variety teaches more than repetition"
        yield Finding(
            Severity.NOTE, "ALIKE", message, source, tuple(lines[:_KEPT]), fix, max(0, len(lines) - _KEPT)
        )

    def _signed(self, examples: Sequence[Example]) -> tuple[list[Row], Signatures]:
        found = [(row, self._phrases.signature(text_of(row))) for row in map(row_of, examples)]
        kept = [(row, signed) for row, signed in found if signed is not None]
        signatures = np.stack([signed for _, signed in kept]) if kept else np.empty((0, BINS), np.uint32)
        return [row for row, _ in kept], signatures


def text_of(row: Row) -> str:
    """What is compared of a row: all but its system prompt, as a reader sees it."""
    return normalised(" ".join(turn.said() for turn in row.talk)[:_LOOKED_AT])
