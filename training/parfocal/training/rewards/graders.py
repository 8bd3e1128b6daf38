"""OpenAI's grader objects: string_check, text_similarity, score_model and multi; python is refused."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from parfocal.training.errors import InvalidConfig
from parfocal.training.metrics import rouge_l, rouge_n
from parfocal.training.rewards.attempts import Attempt, Reward
from parfocal.training.rewards.formulas import Formula
from parfocal.training.rewards.score_model import ScoreModel
from parfocal.training.rewards.templates import check_template, filled

_OPERATIONS = ("eq", "ne", "like", "ilike")
_SIMILARITIES = ("fuzzy_match", "rouge_1", "rouge_2", "rouge_3", "rouge_4", "rouge_5", "rouge_l")
_WORDS = re.compile(r"\w+")


def read_grader(path: Path) -> Reward:
    """The grader in a file; raises InvalidConfig."""
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"the grader {path} cannot be read: {error}", field="rewards") from error
    return grader_of(value, path.stem)


def grader_of(value: Any, name: str) -> Reward:
    """The grader that an object of OpenAI's describes; raises InvalidConfig."""
    if not isinstance(value, Mapping):
        raise InvalidConfig(f"grader {name} is no JSON object", field="rewards")
    kind = value.get("type")
    name = str(value.get("name") or name)
    if kind == "string_check":
        return StringCheck.of(value, name)
    if kind == "text_similarity":
        return TextSimilarity.of(value, name)
    if kind == "score_model":
        return ScoreModel.of(value, name)
    if kind == "multi":
        return Multi.of(value, name)
    if kind == "python":
        raise InvalidConfig(
            f"grader {name} is of type python, whose source would run here with all rights; put it into a "
            "module of your own and name it as module:function",
            field="rewards",
        )
    raise InvalidConfig(
        f"grader {name} is of type {str(kind)[:40]!a}; string_check, text_similarity, score_model and multi "
        "are known",
        field="rewards",
    )


@dataclass(frozen=True, slots=True)
class StringCheck:
    """1 where `input` equals (eq), differs from (ne) or contains (like, ilike) `reference`, else 0."""

    name: str
    operation: str
    input: str
    reference: str

    @classmethod
    def of(cls, value: Mapping[str, Any], name: str) -> "StringCheck":
        """Raises InvalidConfig."""
        return cls(name, _one_of(value, "operation", _OPERATIONS, name), *_both(value, name))

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float]:
        """1 or 0 for each."""
        return [float(self._holds(*_texts(self, attempt))) for attempt in attempts]

    def _holds(self, written: str, true: str) -> bool:
        if self.operation == "like":
            return true in written
        if self.operation == "ilike":
            return true.casefold() in written.casefold()
        return (written == true) is (self.operation == "eq")


@dataclass(frozen=True, slots=True)
class TextSimilarity:
    """How alike `input` and `reference` are, from 0 to 1."""

    name: str
    metric: str
    input: str
    reference: str

    @classmethod
    def of(cls, value: Mapping[str, Any], name: str) -> "TextSimilarity":
        """Raises InvalidConfig."""
        return cls(name, _one_of(value, "evaluation_metric", _SIMILARITIES, name), *_both(value, name))

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float]:
        """The likeness of each."""
        return [self._likeness(*_texts(self, attempt)) for attempt in attempts]

    def _likeness(self, written: str, true: str) -> float:
        if self.metric == "fuzzy_match":
            return SequenceMatcher(None, written, true, autojunk=False).ratio()
        one, other = (_WORDS.findall(text.casefold()) for text in (written, true))
        length = self.metric.rpartition("_")[2]
        return rouge_l(one, other) if length == "l" else rouge_n(one, other, int(length))


@dataclass(frozen=True, slots=True)
class Multi:
    """Several graders, and the arithmetic that makes one number of theirs."""

    name: str
    graders: Mapping[str, Reward]
    formula: Formula

    @classmethod
    def of(cls, value: Mapping[str, Any], name: str) -> "Multi":
        """Raises InvalidConfig."""
        parts = value.get("graders")
        if not isinstance(parts, Mapping) or not parts:
            raise InvalidConfig(f"grader {name} has no graders; give it some by name", field="rewards")
        graders = {str(each): grader_of(part, str(each)) for each, part in parts.items()}
        return cls(name, graders, Formula(str(value.get("calculate_output", "")), graders))

    def scores(self, attempts: Sequence[Attempt]) -> Sequence[float]:
        """What the arithmetic comes to for each."""
        parts = {name: grader.scores(attempts) for name, grader in self.graders.items()}
        return [
            self.formula.value({name: scores[at] for name, scores in parts.items()})
            for at in range(len(attempts))
        ]


def _texts(grader: StringCheck | TextSimilarity, attempt: Attempt) -> tuple[str, str]:
    return filled(grader.input, attempt, grader.name), filled(grader.reference, attempt, grader.name)


def _both(value: Mapping[str, Any], name: str) -> tuple[str, str]:
    found = []
    for field in ("input", "reference"):
        text = value.get(field)
        if not isinstance(text, str):
            raise InvalidConfig(f"grader {name} has no {field}, which is a text", field="rewards")
        check_template(text, name)
        found.append(text)
    return found[0], found[1]


def _one_of(value: Mapping[str, Any], field: str, known: Sequence[str], name: str) -> str:
    found = str(value.get(field))
    if found not in known:
        raise InvalidConfig(
            f"grader {name} has {field} {found[:40]!a}; {', '.join(known)} are known here", field="rewards"
        )
    return found
