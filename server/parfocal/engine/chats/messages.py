"""A conversation as chat templates read it: plain JSON values, and nothing that a template could call."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

Value: TypeAlias = "str | int | float | bool | Sequence[Value] | Mapping[str, Value] | None"
Message: TypeAlias = Mapping[str, Value]

# Templates compare these with their own words; which are allowed is checked where messages are read.
_WORDS = frozenset({"role", "type"})


@dataclass(frozen=True, slots=True)
class Chat:
    """A conversation, and what else its template may read.

    Each message has a `role` and a `content`, and may have other keys that the template knows:
    `reasoning_content`, `tool_calls`, `name`. `variables` are the template's own switches, such as
    `enable_thinking`; `tools` are JSON schemas.
    """

    messages: tuple[Message, ...]
    variables: Mapping[str, Value] = field(default_factory=dict)
    tools: tuple[Mapping[str, Value], ...] = ()

    def texts(self) -> Iterator[str]:
        """Every text in it that a user may have written: all but outer roles and types."""
        yield from _texts([*self.messages, self.variables, *self.tools])

    def with_texts(self, change: Callable[[str], str]) -> "Chat":
        """The same chat with every text, and every key of an object, changed."""
        return Chat(
            tuple(_changed_object(message, change) for message in self.messages),
            _changed_object(self.variables, change),
            tuple(_changed_object(tool, change) for tool in self.tools),
        )


def plain_messages(pairs: Sequence[tuple[str, str]]) -> tuple[Message, ...]:
    """Messages that have only a role and a content."""
    return tuple({"role": role, "content": content} for role, content in pairs)


def _texts(value: Value) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield key
            if key not in _WORDS or not isinstance(item, str):
                yield from _texts(item)
    elif isinstance(value, Sequence):
        for item in value:
            yield from _texts(item)


def _changed(value: Value, change: Callable[[str], str]) -> Value:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return _changed_object(value, change)
    if isinstance(value, Sequence):
        return [_changed(item, change) for item in value]
    return value


def _changed_object(fields: Mapping[str, Value], change: Callable[[str], str]) -> dict[str, Value]:
    return {
        change(key): value if key in _WORDS and isinstance(value, str) else _changed(value, change)
        for key, value in fields.items()
    }
