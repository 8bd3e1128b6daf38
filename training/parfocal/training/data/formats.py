"""Turns JSON objects into rows: prompt and completion (text or messages), or OpenAI messages.

Checks one row at a time; `content` checks what shows only between rows.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from parfocal.registry.values import JSON, UnreadableJson, check_once
from parfocal.training.data.jsonl import DataFile, Line
from parfocal.training.data.rows import Row, Turn
from parfocal.training.findings import Finding, Findings, Severity

ROLES = ("system", "user", "assistant")
_SLICE = "slice"
_MAX_SLICE = 100  # it becomes part of a metric's name
_ROW_KEYS = frozenset({"prompt", "completion", "messages", _SLICE})
_MESSAGE_KEYS = frozenset({"role", "content", "weight"})
_TOOL_KEYS = frozenset({"tools", "tool_calls", "functions", "function_call", "tool_call_id"})
_PART_KEYS = ("type", "text")
_OTHER_FORMATS = {
    "conversations": "ShareGPT rows: rename `conversations` to messages, `from` to role, `value` to content",
    "instruction": "Alpaca rows: put `instruction` and `input` into `prompt` and `output` into `completion`",
    "chosen": "preference rows, which supervised training does not use",
    "text": "plain text rows, which do not say what is prompt and what is completion",
    "input": "rows with `input`: rename it to `prompt` and the answer to `completion`",
}


class _Fault(Exception):
    """A row that cannot be used; carries the finding's code and message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def rows_of(file: DataFile) -> tuple[tuple[Row, ...], tuple[Finding, ...]]:
    """Reads the rows of `file`, with a finding for every line that is not a row or not fully used."""
    findings = Findings()
    rows = []
    for line in file.lines:
        _note_ignored(line, file.source, findings)
        try:
            rows.append(_row(line, file.source))
        except _Fault as fault:
            findings.add(Finding(Severity.ERROR, fault.code, str(fault), file.source, (line.number,)))
    _refuse_mixtures(rows, file.source, findings)
    return tuple(rows), findings.as_tuple()


def _row(line: Line, source: str) -> Row:
    value = line.value
    _check_once(value, _ROW_KEYS)
    if "messages" in value and not {"prompt", "completion"} & value.keys():
        turns = _turns(value["messages"], learn=True)
        raw = False
    elif {"prompt", "completion"} <= value.keys() and "messages" not in value:
        turns, raw = _prompt_and_completion(value["prompt"], value["completion"])
    else:
        raise _Fault("UNKNOWN_FORMAT", f"has neither prompt and completion nor messages{_hint(value)}")
    _check_order(turns)
    if not any(turn.learn for turn in turns):
        raise _Fault("NOTHING_TO_LEARN", "has no assistant message with a weight other than 0")
    return Row(source, line.number, turns, raw, _slice(value))


def _slice(value: Mapping[str, JSON]) -> str:
    """Which kind of case the row says that it is."""
    name = value.get(_SLICE)
    if name is None:
        return ""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_SLICE:
        raise _Fault("BAD_SLICE", f"has a slice that is not 1 to {_MAX_SLICE} printable characters")
    return name


def _prompt_and_completion(prompt: JSON, completion: JSON) -> tuple[tuple[Turn, ...], bool]:
    if isinstance(prompt, str) and isinstance(completion, str):
        return (Turn("user", _text(prompt)), Turn("assistant", _text(completion), learn=True)), True
    if _is_list(prompt) and _is_list(completion):
        answer = _turns(completion, learn=True)
        if answer[0].role != "assistant":
            raise _Fault("WRONG_ORDER", "has a completion that does not begin with an assistant message")
        return (*_turns(prompt, learn=False), *answer), False
    raise _Fault("NOT_TEXT", "has a prompt and completion that are not both text or both lists of messages")


def _turns(messages: JSON, *, learn: bool) -> tuple[Turn, ...]:
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        raise _Fault("NOT_TEXT", "has messages that are not a list")
    if not messages:
        raise _Fault("EMPTY", "has no messages or an empty text")
    return tuple(_turn(message, learn) for message in messages)


def _turn(message: JSON, learn: bool) -> Turn:
    if not isinstance(message, Mapping):
        raise _Fault("NOT_TEXT", "has a message that is not an object with role and content")
    _check_once(message, _MESSAGE_KEYS)
    role = message.get("role")
    if role in ("tool", "function") or any(message.get(key) for key in _TOOL_KEYS):
        raise _Fault("TOOLS_UNSUPPORTED", "has tool calls or tool messages, which are not supported yet")
    if role not in ROLES:
        raise _Fault("WRONG_ROLE", f"has a role that is not {', '.join(ROLES)}; first: {role!r}")
    content = _text(message.get("content"))
    return Turn(str(role), content, learn and role == "assistant" and _weight(message) == 1)


def _text(content: JSON) -> str:
    if isinstance(content, Sequence) and not isinstance(content, str):
        content = _joined_parts(content)
    if not isinstance(content, str):
        raise _Fault("NOT_TEXT", f"has content that is not text; first: {content!r}")
    if not content.strip():
        raise _Fault("EMPTY", "has no messages or an empty text")
    if not _is_unicode(content):
        raise _unusable("text holds half of a surrogate pair, which no Unicode text does")
    return content


def _joined_parts(parts: Sequence[JSON]) -> str:
    """Joins the text of OpenAI content parts; raises for images and other kinds."""
    texts = []
    for part in parts:
        if isinstance(part, Mapping):
            _check_once(part, _PART_KEYS)
        text = part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
        if not isinstance(text, str):
            raise _Fault("NOT_TEXT", f"has content that is not text; first: {part!r}")
        texts.append(text)
    return "".join(texts)


def _weight(message: Mapping[str, JSON]) -> int:
    weight = message.get("weight", 1)
    if isinstance(weight, bool) or weight not in (0, 1):
        raise _Fault("BAD_WEIGHT", f"has a weight other than 0 and 1; first: {weight!r}")
    return int(weight == 1)


def _check_order(turns: tuple[Turn, ...]) -> None:
    """Raises if a chat template could not render the turns, or if the last one is not an answer."""
    talk = turns[1:] if turns[0].role == "system" else turns
    if any(turn.role == "system" for turn in talk):
        raise _Fault("WRONG_ORDER", "has a system message that is not the first message")
    if not talk or talk[0].role != "user":
        raise _Fault("WRONG_ORDER", "does not begin with a user message after the system message, if any")
    if turns[-1].role != "assistant":
        raise _Fault("LAST_NOT_ASSISTANT", "does not end with an assistant message, so there is no answer")


def _refuse_mixtures(rows: list[Row], source: str, findings: Findings) -> None:
    kinds = Counter(row.raw for row in rows)
    if len(kinds) < 2:
        return
    rarer = min(kinds, key=lambda raw: kinds[raw])
    lines = tuple(row.line for row in rows if row.raw is rarer)
    what = "prompt and completion text" if rarer else "messages"
    message = f"are {what} while the other rows are not; use one format per file"
    findings.add(Finding(Severity.ERROR, "MIXED_FORMATS", message, source, lines))


def _note_ignored(line: Line, source: str, findings: Findings) -> None:
    """Names the keys that training does not use: they may hold what the user meant to teach."""
    ignored = {key for key, value in line.value.items() if key not in _ROW_KEYS and value is not None}
    messages = line.value.get("messages")
    if isinstance(messages, Sequence) and not isinstance(messages, str):
        ignored |= {
            key for m in messages if isinstance(m, Mapping) for key in m.keys() - _MESSAGE_KEYS - _TOOL_KEYS
        }
    if line.value.keys() & _TOOL_KEYS:
        message = "has tool calls or tool messages, which are not supported yet"
        findings.add(Finding(Severity.ERROR, "TOOLS_UNSUPPORTED", message, source, (line.number,)))
    ignored -= _TOOL_KEYS
    if ignored and _ROW_KEYS & line.value.keys():
        message = f"has keys that training does not use; first: {_listed(ignored)}"
        findings.add(Finding(Severity.WARNING, "IGNORED_KEYS", message, source, (line.number,)))


def _hint(value: Mapping[str, JSON]) -> str:
    for key, advice in _OTHER_FORMATS.items():
        if key in value:
            return f"; these look like {advice}"
    return f"; first: keys {_listed(value) or 'none'}"


def _listed(keys: Iterable[str]) -> str:
    return ", ".join(key if _is_unicode(key) else ascii(key) for key in sorted(keys))


def _check_once(fields: Mapping[str, JSON], keys: Iterable[str]) -> None:
    try:
        check_once(fields, keys)
    except UnreadableJson as error:
        raise _unusable(str(error)) from error


def _unusable(why: str) -> _Fault:
    return _Fault("BAD_JSON", f"is not JSON that can be used; first: {why}")


def _is_unicode(text: str) -> bool:
    """Whether a tokenizer can encode it: half of a surrogate pair is no text, though JSON can spell it."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _is_list(value: JSON) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)
