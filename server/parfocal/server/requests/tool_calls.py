"""Reads the calls of tools out of an answer's text, while it comes or when it is whole. Knows no wire."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass

from parfocal.engine.chats import CallFormat

_DECODER = json.JSONDecoder()
_BEGINNINGS = ("{", "[")
_SEPARATORS = " \t\r\n,;"
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wrote: the tool's name, and its arguments as a JSON object's text."""

    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Said:
    """What has become certain: text beside calls, and whole calls."""

    content: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ToolUse:
    """How a request's answers call its tools; of a `single` one, only an answer's first call counts."""

    form: CallFormat
    names: tuple[str, ...]
    single: bool = False

    def read(self, text: str) -> Said:
        """A whole answer's text and calls."""
        return read_calls(text, self.reader())

    def reader(self) -> "CallReader":
        """What reads an answer piece by piece."""
        return CallReader(self.form, self.names, 1 if self.single else None)


def read_calls(text: str, reader: "CallReader") -> Said:
    """A whole answer's text and calls. What looks like a call and is none stays text: nothing is lost."""
    first, rest = reader.push(text), reader.finish()
    return Said(first.content + rest.content, first.calls + rest.calls)


class CallReader:
    """Takes an answer piece by piece and gives text and calls as soon as each is certain.

    Where the format has an opening, calls begin with it. Where it has none, an answer that begins as JSON may
    be calls, of `tools` only: it is held back until that is clear. Calls after the first `most` are left out.
    """

    def __init__(self, form: CallFormat, tools: Collection[str], most: int | None = None) -> None:
        self._form = form
        self._tools = tools
        self._most = most
        self._calls = 0
        self._held = ""
        self._has_said = False
        self._has_called = False

    def push(self, piece: str) -> Said:
        """What has become certain with this piece."""
        self._held += piece
        content, calls = "", list[ToolCall]()
        while (step := self._step()) is not None:
            content += step.content
            calls += step.calls
        if self._most is not None:
            calls = calls[: max(self._most - self._calls, 0)]
        self._calls += len(calls)
        return Said(content, tuple(calls))

    def finish(self) -> Said:
        """What was held back for a call that never became one."""
        rest, self._held = self._held, ""
        return Said(rest if rest.strip() or not self._has_called else "")

    def _step(self) -> Said | None:
        """The next certain part of what is held; None where more must come first."""
        if self._has_called and not self._is_past_closing():
            return None
        if not self._held:
            return None
        start, after = self._beginning()
        if start > 0:
            return self._given(start)
        if after is None:
            return None
        found = self._calls_at(self._held, after)
        if found is None:
            return None
        end, calls = found
        if not calls or not (self._form.opening or all(call.name in self._tools for call in calls)):
            return self._given(max(after, 1) if self._form.opening else len(self._held))
        self._held, self._has_called = self._held[end:], True
        return Said("", calls)

    def _beginning(self) -> tuple[int, int | None]:
        """Where a call may begin in what is held, and where its opening ends; None if that is yet to come."""
        text, opening = self._held, self._form.opening
        if opening:
            place = text.find(opening)
            return (len(text) - _overlap(text, opening), None) if place < 0 else (place, place + len(opening))
        begun = len(text) - len(text.lstrip())
        if begun == len(text):
            return 0, None
        return (0, begun) if self._may_be_call(text[begun:]) else (len(text), None)

    def _may_be_call(self, text: str) -> bool:
        """Whether an answer without an opening begins as a call."""
        if self._has_said:
            return False
        if self._form.infix is None:
            return text.startswith(_BEGINNINGS)
        return any(name.startswith(text[: len(name)]) for name in self._tools)

    def _given(self, end: int) -> Said:
        text, self._held = self._held[:end], self._held[end:]
        self._has_said = True
        return Said(text)

    def _is_past_closing(self) -> bool:
        """Drops what stands between calls; False where that may still be to come."""
        self._held = self._held.lstrip(_SEPARATORS)
        closing = self._form.closing
        if closing and self._held.startswith(closing):
            self._held = self._held[len(closing) :].lstrip(_SEPARATORS)
        return not (closing and closing.startswith(self._held))

    def _calls_at(self, text: str, place: int) -> tuple[int, tuple[ToolCall, ...]] | None:
        """The calls that begin at `place`, none if there are none, and where they end; None if not whole."""
        if self._form.infix is not None:
            return self._named_at(text, place)
        place = _skipped(text, place)
        if place == len(text):
            return None
        if text[place] not in _BEGINNINGS:
            return place, ()
        whole = _decoded(text, place)
        if whole is None:
            return None
        value, end = whole
        values = value if isinstance(value, list) else [value]
        calls = [self._call(each) for each in values]
        if not all(calls):
            return place, ()
        return end, tuple(call for call in calls if call is not None)

    def _named_at(self, text: str, place: int) -> tuple[int, tuple[ToolCall, ...]] | None:
        place = _skipped(text, place)
        name = _NAME.match(text, place)
        if name is None:
            return None if place == len(text) else (place, ())
        infix = self._form.infix or ""
        after = _skipped(text, name.end())
        rest = text[after : after + len(infix)]
        if len(rest) < len(infix) and infix.startswith(rest):
            return None
        if rest != infix:
            return place, ()
        begin = _skipped(text, after + len(infix))
        if begin == len(text):
            return None
        whole = _decoded(text, begin) if text[begin] == "{" else ({}, begin)
        if whole is None:
            return None
        value, end = whole
        if not isinstance(value, dict) or end == begin:
            return place, ()
        return end, (ToolCall(name[0], _written(value)),)

    def _call(self, value: object) -> ToolCall | None:
        if not isinstance(value, dict):
            return None
        name = value.get(self._form.name_key)
        # Models mix the two usual words up, whatever their template writes.
        keys = (self._form.arguments_key, "arguments", "parameters")
        arguments: object = next((value[key] for key in keys if key in value), {})
        if isinstance(arguments, str):
            arguments = _object_in(arguments)
        if not isinstance(name, str) or not isinstance(arguments, dict):
            return None
        return ToolCall(name, _written(arguments))


def _decoded(text: str, place: int) -> tuple[object, int] | None:
    """The JSON value at `place` and its end; None where it is not whole, or is none."""
    try:
        return _DECODER.raw_decode(text, place)
    except ValueError:
        return None


def _object_in(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _written(arguments: object) -> str:
    return json.dumps(arguments, ensure_ascii=False)


def _skipped(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _overlap(text: str, opening: str) -> int:
    """How many characters at the end of `text` may begin the opening."""
    sizes = range(min(len(opening) - 1, len(text)), 0, -1)
    return next((size for size in sizes if text.endswith(opening[:size])), 0)
