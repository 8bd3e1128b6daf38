"""The schemas that everything here is measured with, and the judge of what came of them."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for


def _read(name: str) -> dict[str, Any]:
    schemas: dict[str, Any] = json.loads((Path(__file__).parent / name).read_text("utf-8"))
    return schemas


# Every answer of these ends; some answers of the others never do: they recurse, or count digits without end.
SCHEMAS = _read("schemas.json")
OPEN_SCHEMAS = _read("open_schemas.json")


def fault(text: str, schema: Any) -> str:
    """What is wrong with an answer, or nothing. The judge is jsonschema, with its formats.

    It reads fractions as decimals: of floats it takes 0.07 for no multiple of 0.01.
    """
    try:
        value = json.loads(text, parse_float=Decimal)
    except ValueError as error:
        return f"not JSON: {error}"
    judge = validator_for(schema, Draft202012Validator)
    exact = json.loads(json.dumps(schema), parse_float=Decimal)
    errors = judge(exact, format_checker=judge.FORMAT_CHECKER).iter_errors(value)
    return "; ".join(error.message for error in errors)
