"""What answers look like together: labels and their balance, JSON and its exceptions, judgements."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from parfocal.registry.values import JSON
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, UnpairedRow, row_of
from parfocal.training.findings import Finding, Findings, Severity

_LABEL_CHARACTERS = 60
_MOST_LABELS = 50
_ROWS_PER_LABEL = 5
_FEW_OF_LABEL = 5
_SKEWED = 0.8
_RATIO = 10
_MOST_JSON = 0.8
_MOST_LONGER = 0.75


@dataclass(frozen=True, slots=True)
class AnswerFacts:
    """`labels`: how many rows have each answer, where answers are labels; `shape` is what answers are."""

    shape: str
    labels: Mapping[str, int]
    json_keys: Mapping[str, int]

    def to_json(self) -> dict[str, JSON]:
        """The facts as a document has them."""
        return {"shape": self.shape, "labels": dict(self.labels), "json_keys": dict(self.json_keys)}


class Answers:
    """Counts answers, in bounded memory."""

    def __init__(self) -> None:
        self._rows = 0
        self._labels: Counter[str] | None = Counter()
        self._json = 0
        self._keys: Counter[str] = Counter()
        self._no_json = Findings()
        self._longer = 0
        self._source = ""

    def add(self, example: Example) -> None:
        """Counts the answer of a row."""
        row = row_of(example)
        self._source = self._source or row.source
        if isinstance(example, PromptRow):
            return
        self._rows += 1
        if isinstance(example, UnpairedRow):
            self._label("good" if example.good else "bad")
        elif isinstance(example, PreferenceRow):
            self._labels = None
            self._longer += len(row.answer) > len(example.rejected.answer)
        else:
            self._answer(example)

    def facts(self) -> AnswerFacts:
        """What answers are."""
        labels = self._known_labels()
        if labels:
            return AnswerFacts("labels", labels, {})
        if self._is_json():
            return AnswerFacts("JSON objects", {}, dict(self._keys.most_common(_MOST_LABELS)))
        return AnswerFacts("text", {}, {})

    def findings(self) -> Iterator[Finding]:
        """Warns of labels out of balance, of answers that are no JSON beside JSON, and of bias to length."""
        labels = self._known_labels()
        if labels:
            yield from self._balance(labels)
        elif self._is_json():
            yield from self._no_json.as_tuple()
        if self._labels is None and self._longer > _MOST_LONGER * self._rows >= _ROWS_PER_LABEL:
            message = (
                f"{self._longer / self._rows:.0%} of the chosen answers are longer than the rejected ones: "
                "the adapter may learn to be long"
            )
            fix = "add pairs whose better answer is the shorter"
            yield Finding(Severity.WARNING, "LENGTH_BIAS", message, self._source, (), fix)

    def _answer(self, row: Row) -> None:
        answer = row.answer.strip()
        if len(answer) <= _LABEL_CHARACTERS and len(row.turns) > 1:
            self._label(answer)
        else:
            self._labels = None
        if answer[:1] == "{" and answer[-1:] == "}":
            try:
                value = json.loads(answer)
            except (ValueError, RecursionError):
                value = None
            if isinstance(value, dict):
                self._json += 1
                if len(self._keys) < 10 * _MOST_LABELS:
                    self._keys.update(value.keys())
                return
        message = "have an answer that is no JSON object, as the others' are"
        fix = "mend the answer, or keep other tasks in files of their own"
        self._no_json.add(Finding(Severity.WARNING, "NOT_JSON", message, row.source, (row.line,), fix))

    def _label(self, label: str) -> None:
        if self._labels is not None:
            self._labels[label] += 1
            if len(self._labels) > 20 * _MOST_LABELS:
                self._labels = None

    def _known_labels(self) -> dict[str, int]:
        """The labels, where few answers are given often."""
        if not self._labels or len(self._labels) > _MOST_LABELS:
            return {}
        if self._rows < _ROWS_PER_LABEL * len(self._labels):
            return {}
        return dict(self._labels.most_common())

    def _is_json(self) -> bool:
        return self._json >= _MOST_JSON * self._rows > 0

    def _balance(self, labels: Mapping[str, int]) -> Iterator[Finding]:
        (most, rows), *_ = labels.items()
        rare = [label for label, count in labels.items() if count < _FEW_OF_LABEL]
        fix = "add rows of the rare labels, or take some of the frequent one out"
        if len(labels) == 1:
            message = f"all rows have the answer {most!r}, so there is nothing to tell apart"
            yield Finding(Severity.WARNING, "ONE_LABEL", message, self._source)
        elif rows > _SKEWED * self._rows or rows > _RATIO * min(labels.values()):
            least = min(labels, key=lambda label: labels[label])
            message = (
                f"labels are out of balance: {most!r} has {rows / self._rows:.0%} of the rows, "
                f"{least!r} {labels[least]} of {self._rows}"
            )
            yield Finding(Severity.WARNING, "LABEL_IMBALANCE", message, self._source, (), fix)
        if rare:
            shown = ", ".join(map(repr, rare[:5]))
            message = f"labels with fewer than {_FEW_OF_LABEL} rows can hardly be learnt: {shown}"
            yield Finding(Severity.WARNING, "RARE_LABEL", message, self._source, (), fix)
