"""The placeholders of OpenAI's graders: `{{ item.field }}` and `{{ sample.output_text }}`."""

import json
import re
from collections.abc import Mapping
from typing import Any

from parfocal.training.errors import InvalidConfig, RewardFailed
from parfocal.training.rewards.attempts import Attempt

_PLACE = re.compile(r"\{\{\s*(?P<path>[\w.\-]+)\s*\}\}")
_ROOTS = ("item.", "sample.output_text", "sample.output_json")


def check_template(text: str, grader: str) -> None:
    """Raises InvalidConfig for a placeholder that means nothing here."""
    for found in _PLACE.finditer(text):
        path = found["path"]
        if not path.startswith(_ROOTS):
            raise InvalidConfig(
                f"grader {grader} has {{{{{path}}}}}; write item.FIELD, sample.output_text or "
                "sample.output_json.FIELD",
                field="rewards",
            )


def filled(text: str, attempt: Attempt, grader: str) -> str:
    """The template with what the attempt says; raises RewardFailed where the row has no such field.

    A field of an answer that is no JSON is empty: that is the answer's fault, not the row's.
    """
    return _PLACE.sub(lambda found: _value(found["path"], attempt, grader), text)


def _value(path: str, attempt: Attempt, grader: str) -> str:
    root, _, rest = path.partition(".")
    if root == "item":
        value = _walk(attempt.item, rest)
        if value is None:
            raise RewardFailed(
                f"grader {grader} reads {path}, and {attempt.place} has none; give every row that field",
                field="rewards",
            )
        return _text(value)
    if path == "sample.output_text":
        return attempt.answer
    return _text(_walk(_read(attempt.answer), rest.partition(".")[2]))


def _walk(value: Any, path: str) -> Any:
    for name in filter(None, path.split(".")):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
