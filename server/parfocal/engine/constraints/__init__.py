"""What answers must look like: JSON schemas, regular expressions, grammars and choices, token by token."""

from parfocal.engine.constraints.constraint import Constraint, ConstraintState
from parfocal.engine.constraints.specs import (
    Choice,
    ConstraintSpec,
    Grammar,
    JsonObject,
    JsonSchema,
    Regex,
)

__all__ = [
    "Choice",
    "Constraint",
    "ConstraintSpec",
    "ConstraintState",
    "Grammar",
    "JsonObject",
    "JsonSchema",
    "Regex",
]
