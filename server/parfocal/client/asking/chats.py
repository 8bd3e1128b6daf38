"""Messages of a chat, as dataclasses or as the dictionaries that OpenAI's clients write. Knows no wire."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from parfocal.client.errors import InvalidRequest
from parfocal.client.tool_call import ToolCall

_SHAPE = 'write it as {"role": "user", "content": "Hi"}'


@dataclass(frozen=True, slots=True)
class Message:
    """What one side says, calls, or answers as a tool."""

    role: str
    content: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""
    name: str = ""


ChatMessage: TypeAlias = Message | Mapping[str, Any]


def read_message(where: str, message: object) -> Message:
    """A message as a dataclass; `where` names it in what is refused.

    Content may be text, OpenAI's content parts of text, or absent beside tool calls; a tool call is as OpenAI
    writes it, its arguments an object or one as text. Raises InvalidRequest.

    >>> read_message("message 1", {"role": "user", "content": "Hi"})
    Message(role='user', content='Hi', tool_calls=(), tool_call_id='', name='')
    """
    if isinstance(message, Message):
        return message
    if not isinstance(message, Mapping):
        raise _wrong(f"{where} is not an object; {_SHAPE}")
    if message.get("function_call"):
        raise _wrong(f"{where} has function_call; use tool_calls")
    calls = tuple(_call(where, call) for call in _listed(where, message.get("tool_calls")))
    role, content = message.get("role"), _content(message.get("content"))
    if calls and message.get("content") is None:
        content = ""
    if not isinstance(role, str) or content is None:
        raise _wrong(f"{where} lacks a role or a content of text")
    names = (_optional(where, message, key) for key in ("tool_call_id", "name"))
    return Message(role, content, calls, *names)


def read_tool(tool: object) -> str:
    """A tool as the text of a JSON object, its keys in the order given; raises InvalidRequest."""
    if isinstance(tool, str):
        return tool
    if not isinstance(tool, Mapping):
        raise _wrong("a tool is not an object, such as a function's schema", "chat.tools")
    try:
        return _json(tool)
    except (TypeError, ValueError, RecursionError) as error:
        raise _wrong(f"a tool is not JSON: {error}", "chat.tools") from error


def _wrong(what: str, field: str = "chat.messages") -> InvalidRequest:
    return InvalidRequest(what, field=field)


def _call(where: str, call: object) -> ToolCall:
    if isinstance(call, ToolCall):
        return call
    function = call.get("function") if isinstance(call, Mapping) else None
    name = function.get("name") if isinstance(function, Mapping) else None
    if not isinstance(call, Mapping) or not isinstance(function, Mapping) or not isinstance(name, str):
        raise _wrong(f'{where} has a tool call that is not {{"function": {{"name": …, "arguments": …}}}}')
    arguments = function.get("arguments") or {}
    text = arguments if isinstance(arguments, str) else _json(arguments)
    return ToolCall(name, text, _optional(where, call, "id"))


def _listed(where: str, value: object) -> list[object] | tuple[object, ...]:
    """A list that may be absent."""
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise _wrong(f"the tool_calls of {where} are not a list")
    return value


def _optional(where: str, fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key) or ""
    if not isinstance(value, str):
        raise _wrong(f"{where} has {key} that is not text")
    return value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _content(content: object) -> str | None:
    """A text, or the text of OpenAI's content parts; None for what is neither."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else [None]
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    known = [text for text in texts if isinstance(text, str)]
    return "".join(known) if len(known) == len(parts) else None
