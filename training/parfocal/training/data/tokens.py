"""The checks that need the base's tokenizer: templates, special tokens, lengths, truncation.

Loads nothing itself and never drops a row silently: whatever is not trained on as written has a finding.
"""

from array import array
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.rendering import RenderFault, Sample, render
from parfocal.training.data.rows import Row
from parfocal.training.findings import Finding, Findings, Severity

_SHOWN = 40


@dataclass(frozen=True, slots=True)
class Tokenised:
    """The rows that could be turned into tokens, uncut, and the findings about the rest."""

    samples: tuple[Sample, ...]
    findings: tuple[Finding, ...]


def tokenise(rows: Sequence[Row], encoder: BaseEncoder) -> Tokenised:
    """Tokenises the rows, with a finding for each that fails or is doubtful."""
    source = rows[0].source if rows else ""
    if any(not row.raw for row in rows) and not encoder.has_template:
        message = "are chats, but the base has no chat template; use prompt and completion rows"
        lines = tuple(row.line for row in rows if not row.raw)
        return Tokenised((), (Finding(Severity.ERROR, "NO_TEMPLATE", message, source, lines),))
    findings = Findings()
    findings.extend(special_texts(rows, encoder, source))
    findings.extend(_unread_variables(rows, encoder, source))
    samples = []
    for row in rows:
        try:
            samples.append(render(row, encoder))
        except RenderFault as fault:
            findings.add(Finding(Severity.ERROR, fault.code, str(fault), source, (row.line,)))
    findings.extend(_doubts(samples, encoder, source))
    return Tokenised(tuple(samples), findings.as_tuple())


def cut(samples: Sequence[Sample], max_length: int) -> Tokenised:
    """Cuts the samples to `max_length` tokens; names those cut or left with nothing."""
    truncation = Truncation(max_length)
    shortened = tuple(truncation.cut(sample) for sample in samples)
    return Tokenised(shortened, tuple(truncation.findings()))


class Truncation:
    """Cuts samples, and remembers which of them lost something."""

    def __init__(self, max_length: int) -> None:
        self._max_length = max_length
        self._samples = 0
        self._emptied: dict[str, array[int]] = {}
        self._shortened: dict[str, array[int]] = {}

    def cut(self, sample: Sample) -> Sample:
        """The sample, no longer than allowed."""
        self._samples += 1
        left = sample.cut(self._max_length)
        if not left.learnt:
            self._emptied.setdefault(sample.row.source, array("Q")).append(sample.row.line)
        elif len(sample.ids) > self._max_length:
            self._shortened.setdefault(sample.row.source, array("Q")).append(sample.row.line)
        return left

    def findings(self) -> Iterator[Finding]:
        """Names the rows of which nothing is left to learn, and those that lost their end."""
        for source, lines in self._emptied.items():
            message = f"have no answer token left to learn within {self._max_length} tokens"
            fix = "shorten the prompt or raise --max-length"
            yield _lined(Severity.ERROR, "NOTHING_TO_LEARN", (message, fix), source, lines)
        for source, lines in self._shortened.items():
            part = len(lines) / self._samples
            message = (
                f"are longer than {self._max_length} tokens ({part:.0%} of the rows); the end of their "
                "answers, with the stop token, is cut off"
            )
            fix = "raise --max-length, or shorten the rows: what is cut teaches not to stop"
            yield _lined(Severity.WARNING, "TRUNCATED", (message, fix), source, lines)


def _lined(
    severity: Severity, code: str, words: tuple[str, str], source: str, lines: "array[int]"
) -> Finding:
    return Finding(severity, code, words[0], source, tuple(sorted(set(lines))), words[1])


def special_texts(rows: Sequence[Row], encoder: BaseEncoder, source: str) -> Iterator[Finding]:
    """In a chat such text would forge the template's own marks; in raw rows it may be intended."""
    lines: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        contents = [turn.content for turn in row.turns]
        for special in encoder.special_texts:
            if any(special in content for content in contents):
                lines[special].append(row.line)
    for special, found in lines.items():
        raw = rows[0].raw
        severity = Severity.WARNING if raw else Severity.ERROR
        advice = (
            "it is read as the control token, not as text" if raw else "remove it: the template writes it"
        )
        message = f"contain the special token {special[:_SHOWN]!r}; {advice}"
        yield Finding(severity, "SPECIAL_TOKEN", message, source, tuple(found))


def _unread_variables(rows: Sequence[Row], encoder: BaseEncoder, source: str) -> Iterator[Finding]:
    """A variable that nothing reads is most likely misspelt."""
    for name in encoder.unread_variables(chats=any(not row.raw for row in rows)):
        message = f"template variable {name[:_SHOWN]!r} is set, but nothing that writes these rows reads it"
        yield Finding(Severity.WARNING, "VARIABLE_UNREAD", message, source)


def _doubts(samples: Sequence[Sample], encoder: BaseEncoder, source: str) -> Iterator[Finding]:
    endless = tuple(sample.row.line for sample in samples if not sample.ends)
    if endless:
        message = "have answers after which the template writes no stop token: it will not learn to stop"
        yield Finding(Severity.WARNING, "NO_STOP_TOKEN", message, source, endless)
    merged = tuple(sample.row.line for sample in samples if sample.merged)
    if merged:
        message = "have prompt and answer whose touching letters form one token; they were encoded apart"
        yield Finding(Severity.NOTE, "TOKENS_MERGE", message, source, merged)
    untold = tuple(sample.row.line for sample in samples if not sample.tools)
    if untold:
        message = "have tools, of which the base's chat template does not tell the model"
        fix = "train on a base whose template writes tools, or describe them in the system prompt"
        yield Finding(Severity.WARNING, "TOOLS_UNTOLD", message, source, untold, fix)
    unknown = tuple(
        s.row.line for s in samples if encoder.unknown_id is not None and encoder.unknown_id in s.ids
    )
    if unknown:
        message = "have characters that the base's tokenizer does not know"
        yield Finding(Severity.WARNING, "UNKNOWN_TOKENS", message, source, unknown)
