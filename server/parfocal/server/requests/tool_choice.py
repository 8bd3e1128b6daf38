"""Whether an answer may or must call tools, and the form that it must have if it must. Knows no wire."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parfocal.engine.chats import CallFormat, Value
from parfocal.engine.constraints import ToolCalls
from parfocal.server.errors import BadRequest

# What stands in a call of a tool that says nothing of its parameters.
_ANY_ARGUMENTS: Mapping[str, Value] = {"type": "object"}


@dataclass(frozen=True, slots=True)
class ToolChoice:
    """What a caller says of the tools: nothing, that one must be called, which one, and only once.

    `allowed` False means that none may be called: the template is not shown any.
    """

    allowed: bool = True
    required: bool = False
    name: str = ""
    single: bool = False


AUTO = ToolChoice()


@dataclass(frozen=True, slots=True)
class MustCall:
    """The tools of which an answer must call one: each one's name, and the JSON schema of its arguments."""

    tools: tuple[tuple[str, str], ...]
    single: bool

    def written(self, form: CallFormat) -> ToolCalls:
        """What holds an answer to calls in this format."""
        return ToolCalls(
            tools=self.tools,
            opening=form.opening,
            closing=form.closing,
            infix=form.infix,
            name_key=form.name_key,
            arguments_key=form.arguments_key,
            several=not self.single,
        )


def must_call(choice: ToolChoice, tools: Sequence[Mapping[str, Value]]) -> MustCall | None:
    """What the choice demands; None if nothing. Raises BadRequest."""
    if not choice.required:
        return None
    named = [(tool_name(each), _schema(each)) for each in tools]
    if choice.name:
        named = [each for each in named if each[0] == choice.name]
    if not tools:
        raise BadRequest(
            "a tool must be called, but the chat has no tools; give at least one", field="chat.tool_choice"
        )
    if not named:
        raise BadRequest(
            f"the tool {choice.name[:64]!r} must be called, but the chat has no such tool",
            field="chat.tool_choice",
        )
    nameless = next((place for place, each in enumerate(named) if not each[0]), None)
    if nameless is not None:
        raise BadRequest(
            "the tool has no name, so that it cannot be called; give it one", field=f"chat.tools[{nameless}]"
        )
    return MustCall(tuple(dict(named).items()), choice.single)


def tool_name(tool: Mapping[str, Value]) -> str:
    """As OpenAI describes a tool, or as some templates want it: without the outer object."""
    name = _function(tool).get("name")
    return name if isinstance(name, str) else ""


def _schema(tool: Mapping[str, Value]) -> str:
    parameters = _function(tool).get("parameters")
    return json.dumps(_ANY_ARGUMENTS if parameters is None else parameters)


def _function(tool: Mapping[str, Value]) -> Mapping[str, Value]:
    function = tool.get("function")
    return function if isinstance(function, Mapping) else tool
