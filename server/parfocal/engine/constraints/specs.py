"""What a caller may ask an answer to look like: plain values, checked and compiled elsewhere."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class JsonSchema:
    """JSON that a schema accepts; `text` is the schema, itself JSON (draft 4 to 2020-12)."""

    text: str


@dataclass(frozen=True, slots=True)
class JsonObject:
    """Any JSON object."""


@dataclass(frozen=True, slots=True)
class Regex:
    """Text that a regular expression matches as a whole. `\\d` and `\\w` are ASCII; no look-around."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Grammar:
    """Text that a context-free grammar derives from its rule `root`.

    `text` is EBNF as llama.cpp writes it (GBNF): `root ::= "yes" | "no" tail*`.
    """

    text: str


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these texts."""

    options: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ToolCalls:
    """A call of one of `tools`, given as names with the JSON schemas of their arguments; or `several` calls.

    How calls are written is what a `CallFormat` says.
    """

    tools: tuple[tuple[str, str], ...]
    opening: str = ""
    closing: str = ""
    infix: str | None = None
    name_key: str = "name"
    arguments_key: str = "arguments"
    several: bool = True


ConstraintSpec = JsonSchema | JsonObject | Regex | Grammar | Choice | ToolCalls
