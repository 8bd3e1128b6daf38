"""What answers must look like: JSON schemas, regular expressions, grammars and choices, token by token."""

from parfocal.engine.constraints.compiler import CompilerLimits, ConstraintCompiler
from parfocal.engine.constraints.constraint import Constraint, ConstraintState
from parfocal.engine.constraints.guided_compiler import open_compiler
from parfocal.engine.constraints.specs import (
    Choice,
    ConstraintSpec,
    Grammar,
    JsonObject,
    JsonSchema,
    Regex,
    ToolCalls,
)
from parfocal.engine.constraints.trial import TrialLimits

__all__ = [
    "Choice",
    "CompilerLimits",
    "Constraint",
    "ConstraintCompiler",
    "ConstraintSpec",
    "ConstraintState",
    "Grammar",
    "JsonObject",
    "JsonSchema",
    "Regex",
    "ToolCalls",
    "TrialLimits",
    "open_compiler",
]
