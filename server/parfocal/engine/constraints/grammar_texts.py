"""Writes what a caller asks for as a grammar for llguidance, in its dialect of Lark. Loads no library.

`no_forcing` leaves it to the model how text is cut into tokens. Otherwise all text that must follow is
tokenised anew at each step, which takes as long as it is long.
"""

import json

from parfocal.engine.constraints.gbnf import ROOT, read_grammar
from parfocal.engine.constraints.keywords import regex_fault
from parfocal.engine.constraints.lark import lark_of
from parfocal.engine.constraints.schemas import read_schema
from parfocal.engine.constraints.specs import (
    Choice,
    ConstraintSpec,
    Grammar,
    JsonObject,
    JsonSchema,
    Regex,
)
from parfocal.engine.errors import ConstraintRefused

MOST_CHARACTERS = 64 << 10
_HEAD = '%llguidance {"no_forcing": true}\n'
# A model that may write space without end sometimes does. What people and json.dumps write is allowed.
_SPACE = r"[\x20]|\n[\x20\t]{0,40}"
_JSON = {"x-guidance": {"whitespace_pattern": _SPACE, "json_allow_general_unicode_escapes": True}}


def grammar_text(spec: ConstraintSpec) -> str:
    """The grammar for `spec`.

    Raises:
        ConstraintRefused: the spec is not well formed, or asks for what is not supported.
    """
    match spec:
        case JsonSchema(text):
            return _json(read_schema(text))
        case JsonObject():
            return _json({"type": "object"})
        case Regex(pattern):
            return f"{_HEAD}start: {_regex(pattern)}"
        case Grammar(text):
            return _HEAD + _grammar(_short(text, "the grammar"))
        case Choice(options):
            return f"{_HEAD}start: CHOICE\nCHOICE: {_alternatives(options)}"


def _json(schema: dict[str, object]) -> str:
    return f"{_HEAD}start: %json {json.dumps(schema | _JSON)}"


def _grammar(text: str) -> str:
    try:
        return lark_of(read_grammar(text), ROOT)
    except RecursionError as error:
        raise ConstraintRefused(
            "the grammar nests rules too deeply; use fewer rules in one another", field="output_format"
        ) from error


def _regex(pattern: str) -> str:
    if fault := regex_fault(_short(pattern, "the regular expression")):
        raise ConstraintRefused(f"the regular expression {fault.what}; {fault.advice}", field="output_format")
    return f"/{_in_slashes(pattern)}/"


def _in_slashes(pattern: str) -> str:
    """The pattern with `\\d` and `\\w` in ASCII, and nothing that would end it."""
    from llguidance import regex_to_lark

    return regex_to_lark(pattern, "dw")


def _alternatives(options: tuple[str, ...]) -> str:
    if not options or "" in options:
        what = "an option is empty" if options else "there are no options"
        raise ConstraintRefused(f"{what}; name at least one, and none that is empty", field="output_format")
    _short("".join(options), "all options together")
    return " | ".join(json.dumps(each) for each in dict.fromkeys(options))


def _short(text: str, what: str) -> str:
    if len(text) > MOST_CHARACTERS:
        raise ConstraintRefused(
            f"{what} has {len(text)} characters, more than {MOST_CHARACTERS}; make it shorter",
            field="output_format",
        )
    return text
