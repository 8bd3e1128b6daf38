"""How a chat template writes the call of a tool, learnt by having it write one. Knows no template by name."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

from parfocal.engine.chats.messages import Chat, Message, Value
from parfocal.engine.errors import ChatRefused, NoChatTemplate, PromptTooLong

# Words that no template writes by itself. Some templates want ids of nine letters and digits.
_NAME = "probe_of_calls"
_KEY, _WORD = "probe_key", "probe_word"
_SAID = "probe of an answer"
_ID = "probe0001"
_TOOL: Mapping[str, Value] = {
    "type": "function",
    "function": {
        "name": _NAME,
        "description": "probes",
        "parameters": {"type": "object", "properties": {_KEY: {"type": "string", "description": "probes"}}},
    },
}
_USER: Message = {"role": "user", "content": "probe"}
_CALL: Message = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {"type": "function", "id": _ID, "function": {"name": _NAME, "arguments": {_KEY: _WORD}}},
    ],
}

Write = Callable[[Chat, bool], str]


@dataclass(frozen=True, slots=True)
class CallFormat:
    """What an answer that calls a tool looks like.

    A call is one JSON object that holds the name under `name_key` and the arguments under `arguments_key`;
    or, where `infix` is not None, the bare name, `infix`, and an object of arguments. `opening` stands before
    it and `closing` after it, as far as an answer's text shows them: special tokens are not part of it. Where
    nothing does, the call begins the answer.
    """

    opening: str = ""
    closing: str = ""
    infix: str | None = None
    name_key: str = "name"
    arguments_key: str = "arguments"


def learnt_format(write: Write, hidden: Collection[str]) -> CallFormat:
    """The format of the template behind `write(chat, generation_prompt)`; `hidden` are the special tokens.

    A template that cannot write calls, or writes them as no JSON, has the usual one: an object.
    """
    try:
        answer = _answer(write)
    except (ChatRefused, NoChatTemplate, PromptTooLong):
        return CallFormat()
    found = _as_object(answer) or _as_name(answer)
    if found is None:
        return CallFormat()
    return CallFormat(
        opening=_seen(found.opening, hidden).strip(),
        closing=_seen(found.closing, hidden).strip(),
        infix=None if found.infix is None else _seen(found.infix, hidden).strip(),
        name_key=found.name_key,
        arguments_key=found.arguments_key,
    )


def _answer(write: Write) -> str:
    """What the template writes of an assistant's turn that calls the tool, without what ends every turn."""
    prompt = write(Chat((_USER,), tools=(_TOOL,)), True)
    called = write(Chat((_USER, _CALL), tools=(_TOOL,)), False)
    said = write(Chat((_USER, {"role": "assistant", "content": _SAID}), tools=(_TOOL,)), False)
    end = said.rpartition(_SAID)[2]
    return called[_common(prompt, called) :].removesuffix(end)


def _common(first: str, second: str) -> int:
    pairs = enumerate(zip(first, second, strict=False))
    return next((place for place, (one, other) in pairs if one != other), min(len(first), len(second)))


def _as_object(answer: str) -> CallFormat | None:
    """The call as one object, perhaps in a list."""
    for start, end, value in _objects(answer):
        keys = _keys(value)
        if keys is None:
            continue
        before, after = answer[:start].rstrip(), answer[end:].lstrip()
        if before.endswith("[") and after.startswith("]"):
            before, after = before[:-1], after[1:]
        return CallFormat(before, after, None, *keys)
    return None


def _as_name(answer: str) -> CallFormat | None:
    """The name before the object of its arguments."""
    for start, end, value in _objects(answer):
        before, name, infix = answer[:start].rpartition(_NAME)
        if name and value == {_KEY: _WORD}:
            return CallFormat(before, answer[end:], infix)
    return None


def _objects(text: str) -> Iterator[tuple[int, int, Mapping[str, Value]]]:
    decoder = json.JSONDecoder()
    start = text.find("{")
    while start >= 0:
        try:
            value, end = decoder.raw_decode(text, start)
            yield start, end, value
        except ValueError:
            pass
        start = text.find("{", start + 1)


def _keys(value: Mapping[str, Value]) -> tuple[str, str] | None:
    name = next((key for key, held in value.items() if held == _NAME), None)
    wanted = ({_KEY: _WORD}, json.dumps({_KEY: _WORD}))
    arguments = next((key for key, held in value.items() if held in wanted), None)
    return None if name is None or arguments is None else (name, arguments)


def _seen(text: str, hidden: Collection[str]) -> str:
    for special in hidden:
        text = text.replace(special, "")
    return text
