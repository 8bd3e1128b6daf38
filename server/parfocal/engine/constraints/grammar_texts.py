"""Writes what a caller asks for as a grammar for llguidance, in its dialect of Lark. Loads no library.

`no_forcing` leaves it to the model how text is cut into tokens. Otherwise all text that must follow is
tokenised anew at each step, which takes as long as it is long.
"""

import json
from collections.abc import Mapping

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
    ToolCalls,
)
from parfocal.engine.errors import ConstraintRefused

MOST_CHARACTERS = 64 << 10
_HEAD = '%llguidance {"no_forcing": true}\n'
# A model that may write space without end sometimes does. What people and json.dumps write is allowed.
_SPACE = r"[\x20]|\n[\x20\t]{0,40}"
_JSON = {"x-guidance": {"whitespace_pattern": _SPACE, "json_allow_general_unicode_escapes": True}}


def grammar_text(spec: ConstraintSpec, tokens: Mapping[str, int] | None = None) -> str:
    """The grammar for `spec`; `tokens` are the ids of the added tokens, by their text.

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
        case ToolCalls():
            return _HEAD + _calls(spec, tokens or {})


def _calls(spec: ToolCalls, tokens: Mapping[str, int]) -> str:
    """The rules for calls of tools. Where an added token opens them, models write it and not its letters."""
    bodies = [f"body{place}" for place in range(len(spec.tools))]
    call = [_mark(spec.opening, tokens), " | ".join(bodies), _mark(spec.closing, tokens)]
    rules = [
        f"start: call{' (gap call)*' if spec.several else ''}",
        f"call: {' gap '.join(f'({part})' for part in call if part)}",
        "gap: GAP?",
        r"GAP: /[\x20\n]{1,4}/",
    ]
    for place, (name, schema) in enumerate(spec.tools):
        rules.append(f"body{place}: {_call(spec, name, f'arguments{place}')}")
        rules.append(f"arguments{place}: %json {json.dumps(_arguments(name, schema) | _JSON)}")
    return "\n".join(rules)


def _mark(text: str, tokens: Mapping[str, int]) -> str:
    if not text:
        return ""
    return f"<[{tokens[text]}]> | {json.dumps(text)}" if text in tokens else json.dumps(text)


def _call(spec: ToolCalls, name: str, arguments: str) -> str:
    """One call without what stands around it."""
    if spec.infix is not None:
        return " gap ".join(part for part in (json.dumps(name), _mark(spec.infix, {}), arguments) if part)
    words = ["{", json.dumps(spec.name_key), ":", json.dumps(name), ",", json.dumps(spec.arguments_key), ":"]
    return " gap ".join([*map(json.dumps, words), arguments, json.dumps("}")])


def _arguments(name: str, schema: str) -> dict[str, object]:
    """The schema of a tool's arguments, which are an object."""
    try:
        read = read_schema(schema)
    except ConstraintRefused as error:
        raise ConstraintRefused(f"the parameters of the tool {name}: {error}", field="chat.tools") from error
    if read.keys() & {"$ref", "allOf", "anyOf", "oneOf"}:
        return read
    if read.get("type", "object") != "object":
        raise ConstraintRefused(
            f"the parameters of the tool {name} are no object; give a schema of type object",
            field="chat.tools",
        )
    return {"type": "object", **read}


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
