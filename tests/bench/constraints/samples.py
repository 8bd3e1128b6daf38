"""The schemas that everything here is measured with, and the judge of what came of them."""

import json
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import validator_for

SCHEMAS: dict[str, Any] = json.loads((Path(__file__).parent / "schemas.json").read_text("utf-8"))


def fault(text: str, schema: Any) -> str:
    """What is wrong with an answer, or nothing. The judge is jsonschema, with its formats."""
    try:
        value = json.loads(text)
    except ValueError as error:
        return f"not JSON: {error}"
    judge = validator_for(schema, Draft202012Validator)
    errors = judge(schema, format_checker=judge.FORMAT_CHECKER).iter_errors(value)
    return "; ".join(error.message for error in errors)
