"""Answers that are JSON: whether they can be read, fit a schema, and which fields are right."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parfocal.training.errors import InvalidConfig
from parfocal.training.metrics.answers import Answer, Scores

VALID = "json_valid"
_NOTHING = object()
_MOST_FIELDS = 20
_MOST_LEAVES = 10_000


@dataclass(frozen=True, slots=True)
class JsonAnswers:
    """`json_valid`, `json_exact` (equal as JSON), `json_f1` of fields, and `json_f1.FIELD` of each.

    A field is the path to a value that is no object, list positions aside. With a schema, an answer that
    breaks it is not valid; its fields are compared all the same.
    """

    validator: Any = None
    leading: str = "json_exact"

    @classmethod
    def of(cls, schema: str) -> "JsonAnswers":
        """The metric with the JSON schema in the file named; without a name, with none.

        Raises InvalidConfig where it is no schema.
        """
        return cls(_validator(Path(schema).expanduser())) if schema else cls()

    def scores(self, answers: Sequence[Answer]) -> Scores:
        """Every figure for each answer. `json_f1.FIELD` is over the answers that have the field."""
        pairs = [(_read(answer.written), _read(answer.true)) for answer in answers]
        leaves = [(_leaves(written), _leaves(true)) for written, true in pairs]
        figures = {
            VALID: [float(self._is_valid(written)) for written, _ in pairs],
            self.leading: [float(_same(written, true)) for written, true in pairs],
            "json_f1": [_f1(written, true) for written, true in leaves],
        }
        fields = Counter(name for _, true in leaves for name in {name for name, _ in true})
        for name, _ in fields.most_common(_MOST_FIELDS):
            parts = [(_of(written, name), _of(true, name)) for written, true in leaves]
            figures[f"json_f1.{name}"] = [_f1(written, true) for written, true in parts]
        return Scores(figures)

    def _is_valid(self, value: Any) -> bool:
        if value is _NOTHING:
            return False
        return self.validator is None or bool(self.validator.is_valid(value))


def _validator(path: Path) -> Any:
    # Its validator is the field's own, and most runs need none.
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        schema = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InvalidConfig(f"the JSON schema {path} cannot be read: {error}", field="metric") from error
    kind = validator_for(schema)
    try:
        kind.check_schema(schema)
    except SchemaError as error:
        raise InvalidConfig(f"{path} is no JSON schema: {error.message[:200]}", field="metric") from error
    return kind(schema)


def _read(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NOTHING


def _same(written: Any, true: Any) -> bool:
    """Equal as JSON: 1 is not true, though Python says so."""
    if written is _NOTHING or true is _NOTHING:
        return False
    return json.dumps(written, sort_keys=True) == json.dumps(true, sort_keys=True)


Leaves = Counter[tuple[str, str]]


def _leaves(value: Any) -> Leaves:
    """Every value that is no object or list, as JSON, with the path to it."""
    if value is _NOTHING:
        return Counter()
    found: Leaves = Counter()
    for leaf in _walk("", value):
        found[leaf] += 1
        if found.total() >= _MOST_LEAVES:
            break
    return found


def _walk(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _walk(f"{path}.{name}" if path else str(name), inner)
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _walk(path, inner)
    else:
        yield path, json.dumps(value)


def _of(leaves: Leaves, name: str) -> Leaves:
    return Counter({leaf: count for leaf, count in leaves.items() if leaf[0] == name})


def _f1(written: Leaves, true: Leaves) -> float:
    both = written.total() + true.total()
    return 2 * (written & true).total() / both if both else 1.0
