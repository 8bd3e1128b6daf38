"""Rows of each format as values: texts to learn, preferences, judged answers, prompts."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from parfocal.registry.values import JSON
from parfocal.training.data.formats.detection import NOT_PREFERRED, PREFERRED, Format
from parfocal.training.data.formats.faults import RowFault, check_keys, is_list, text_of
from parfocal.training.data.formats.messages import (
    MESSAGE_KEYS,
    check_calls,
    functions_as_tools,
    sharegpt_turns,
    tools_of,
    turns_of,
)
from parfocal.training.data.rows import Example, PreferenceRow, PromptRow, Row, Turn, UnpairedRow

Fields = Mapping[str, JSON]
SLICE = "slice"
_MAX_SLICE = 100  # it becomes part of a metric's name


@dataclass(frozen=True, slots=True)
class Place:
    """Where a row stands, and which kind of case it says that it is."""

    source: str
    line: int
    slice: str = ""

    def row(self, turns: Sequence[Turn], *, raw: bool, tools: tuple[Fields, ...] = ()) -> Row:
        """The row of these turns."""
        return Row(self.source, self.line, tuple(turns), raw, self.slice, tools)


def parse(format_: Format, value: Fields, source: str, line: int) -> Example:
    """The row that `value`, written in `format_`, is; raises RowFault."""
    check_keys(value, _KEYS[format_])
    return _PARSERS[format_](value, Place(source, line, _slice(value)))


def _slice(value: Fields) -> str:
    name = value.get(SLICE)
    if name is None:
        return ""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= _MAX_SLICE:
        raise RowFault("BAD_SLICE", f"has a slice that is not 1 to {_MAX_SLICE} printable characters")
    return name


def unread_keys(format_: Format, value: Fields) -> set[str]:
    """The keys of a row, and of its messages, that nobody reads: they may hold what is to be taught."""
    if format_ in (Format.PROMPT, Format.CHAT_PROMPT):
        return set()  # graders read them
    unread = {key for key, held in value.items() if key not in {*_KEYS[format_], SLICE} and held is not None}
    messages = value.get("messages")
    for message in messages if isinstance(messages, Sequence) and is_list(messages) else ():
        if isinstance(message, Mapping):
            unread |= message.keys() - MESSAGE_KEYS
    return unread


def _chat(value: Fields, place: Place) -> Row:
    turns = turns_of(value["messages"], learn=True)
    return _checked(place, turns, _tools(value))


def _chat_prompt(value: Fields, place: Place) -> PromptRow:
    row = _checked(place, turns_of(value["messages"], learn=False), _tools(value))
    return PromptRow(row, _others(value, Format.CHAT_PROMPT))


def _prompt_completion(value: Fields, place: Place) -> Row:
    prompt, completion = value["prompt"], value["completion"]
    if is_list(prompt) or is_list(completion):
        raise RowFault(
            "NOT_TEXT", "has a prompt and completion that are not both text or both lists of messages"
        )
    turns = (Turn("user", text_of(prompt)), Turn("assistant", text_of(completion), learn=True))
    return place.row(turns, raw=True)


def _prompt_completion_chat(value: Fields, place: Place) -> Row:
    prompt, completion = value["prompt"], value["completion"]
    if not is_list(completion):
        raise RowFault(
            "NOT_TEXT", "has a prompt and completion that are not both text or both lists of messages"
        )
    answer = turns_of(completion, learn=True)
    _begins_with_answer(answer, "completion")
    return _checked(place, (*turns_of(prompt, learn=False), *answer), _tools(value))


def _text(value: Fields, place: Place) -> Row:
    return place.row([Turn("assistant", text_of(value["text"]), learn=True)], raw=True)


def _preference(value: Fields, place: Place) -> PreferenceRow:
    prompt, chosen, rejected = value.get("prompt"), value["chosen"], value["rejected"]
    if isinstance(chosen, str) and isinstance(rejected, str):
        before, better, worse = _parted_texts(prompt, chosen, rejected)
        rows = [
            place.row([Turn("user", before), Turn("assistant", answer, learn=True)], raw=True)
            for answer in (better, worse)
        ]
    elif is_list(chosen) and is_list(rejected):
        rows = _paired_talks(prompt, chosen, rejected, value, place)
    else:
        raise RowFault("NOT_TEXT", "has chosen and rejected that are not both text or both lists of messages")
    return _preferred(rows[0], rows[1])


def _openai_preference(value: Fields, place: Place) -> PreferenceRow:
    asked = value.get("input")
    if not isinstance(asked, Mapping) or "messages" not in asked:
        raise RowFault("NOT_TEXT", "has no input that is an object with messages")
    check_keys(asked, ("messages", "tools"))
    better, worse = (_first_of(value, names) for names in (PREFERRED, NOT_PREFERRED))
    prompt = turns_of(asked["messages"], learn=False)
    answers = [turns_of(answer, learn=True) for answer in (better, worse)]
    for answer in answers:
        _begins_with_answer(answer, "output")
    rows = [_checked(place, (*prompt, *answer), _tools(asked)) for answer in answers]
    return _preferred(rows[0], rows[1])


def _unpaired(value: Fields, place: Place) -> UnpairedRow:
    chat = is_list(value["prompt"])
    row = _prompt_completion_chat(value, place) if chat else _prompt_completion(value, place)
    return UnpairedRow(row, value["label"] is True)


def _prompt(value: Fields, place: Place) -> PromptRow:
    fields = _others(value, Format.PROMPT)
    prompt = value["prompt"]
    if not is_list(prompt):
        turns: tuple[Turn, ...] = (Turn("user", text_of(prompt)),)
        return PromptRow(place.row(turns, raw=True), fields)
    row = _checked(place, turns_of(prompt, learn=False), _tools(value))
    return PromptRow(row, fields)


def _sharegpt(value: Fields, place: Place) -> Row:
    turns = sharegpt_turns(value["conversations"])
    if isinstance(value.get("system"), str) and str(value["system"]).strip():
        if turns[0].role == "system":
            raise RowFault("WRONG_ORDER", "has a system prompt beside a system message")
        turns = (Turn("system", text_of(value["system"])), *turns)
    return _checked(place, turns, _tools(value))


def _alpaca(value: Fields, place: Place) -> Row:
    turns: list[Turn] = []
    if isinstance(value.get("system"), str) and str(value["system"]).strip():
        turns.append(Turn("system", text_of(value["system"])))
    history = value.get("history")
    for pair in history if isinstance(history, Sequence) and is_list(history) else ():
        if not is_list(pair) or not isinstance(pair, Sequence) or len(pair) != 2:
            raise RowFault("NOT_TEXT", "has a history that is not a list of pairs of question and answer")
        turns += [Turn("user", text_of(pair[0])), Turn("assistant", text_of(pair[1]), learn=True)]
    asked = text_of(value["instruction"])
    if value.get("input") not in (None, ""):
        asked = f"{asked}\n{text_of(value['input'])}"
    turns += [Turn("user", asked), Turn("assistant", text_of(value["output"]), learn=True)]
    return place.row(turns, raw=False)


def _checked(place: Place, turns: tuple[Turn, ...], tools: tuple[Fields, ...]) -> Row:
    """The chat of `turns`; raises if a chat template could not render them."""
    talk = turns[1:] if turns[0].role == "system" else turns
    if any(turn.role == "system" for turn in talk):
        raise RowFault("WRONG_ORDER", "has a system message that is not the first message")
    if not talk or talk[0].role != "user":
        raise RowFault("WRONG_ORDER", "does not begin with a user message after the system message, if any")
    check_calls(turns)
    return place.row(turns, raw=False, tools=tools)


def _tools(value: Fields) -> tuple[Fields, ...]:
    return tools_of(value.get("tools")) or functions_as_tools(value.get("functions"))


def _begins_with_answer(turns: Sequence[Turn], what: str) -> None:
    if turns[0].role != "assistant":
        raise RowFault("WRONG_ORDER", f"has a {what} that does not begin with an assistant message")


def _first_of(value: Fields, names: Sequence[str]) -> JSON:
    for name in names:
        if value.get(name) is not None:
            return value[name]
    raise RowFault("NO_ANSWER", f"has no {names[0]}, so there is nothing to prefer")


def _preferred(chosen: Row, rejected: Row) -> PreferenceRow:
    for row in (chosen, rejected):
        if row.turns[-1].role != "assistant":
            raise RowFault("LAST_NOT_ASSISTANT", "does not end with an assistant message in both answers")
    if [turn.said() for turn in chosen.turns] == [turn.said() for turn in rejected.turns]:
        raise RowFault(
            "SAME_ANSWERS", "has a chosen answer that is the rejected one, so nothing is preferred"
        )
    return PreferenceRow(chosen, rejected)


def _parted_texts(prompt: JSON, chosen: str, rejected: str) -> tuple[str, str, str]:
    """Prompt and answers; without a prompt it is what both texts begin with, through a whole word."""
    if prompt is not None:
        return text_of(prompt), text_of(chosen), text_of(rejected)
    text_of(chosen), text_of(rejected)
    shorter = min(len(chosen), len(rejected))
    same = next((at for at in range(shorter) if chosen[at] != rejected[at]), shorter)
    while same and not chosen[same - 1].isspace():
        same -= 1
    same = len(chosen[:same].rstrip(" "))
    if not chosen[:same].strip():
        raise RowFault(
            "NO_PROMPT",
            "has no prompt, and answers that begin with nothing in common",
            "give the prompt in a column of its own",
        )
    return chosen[:same], text_of(chosen[same:]), text_of(rejected[same:])


def _paired_talks(prompt: JSON, chosen: JSON, rejected: JSON, value: Fields, place: Place) -> list[Row]:
    talks = [turns_of(talk, learn=True) for talk in (chosen, rejected)]
    if is_list(prompt):
        before = tuple(replace(turn, learn=False) for turn in turns_of(prompt, learn=False))
        for talk in talks:
            _begins_with_answer(talk, "chosen or rejected answer")
        return [_checked(place, (*before, *talk), _tools(value)) for talk in talks]
    if isinstance(prompt, str) and all(talk[0].role == "assistant" for talk in talks):
        asked = Turn("user", text_of(prompt))
        return [_checked(place, (asked, *talk), _tools(value)) for talk in talks]
    shorter = min(map(len, talks))
    same = next((at for at in range(shorter) if talks[0][at] != talks[1][at]), shorter)
    same = min(same, shorter - 1)
    before = tuple(replace(turn, learn=False) for turn in talks[0][:same])
    return [_checked(place, (*before, *talk[same:]), _tools(value)) for talk in talks]


def _others(value: Fields, format_: Format) -> dict[str, JSON]:
    return {name: held for name, held in value.items() if name not in {*_KEYS[format_], SLICE}}


_PARSERS: dict[Format, Callable[[Fields, Place], Example]] = {
    Format.CHAT: _chat,
    Format.CHAT_PROMPT: _chat_prompt,
    Format.PROMPT_COMPLETION: _prompt_completion,
    Format.PROMPT_COMPLETION_CHAT: _prompt_completion_chat,
    Format.TEXT: _text,
    Format.PREFERENCE: _preference,
    Format.OPENAI_PREFERENCE: _openai_preference,
    Format.UNPAIRED: _unpaired,
    Format.PROMPT: _prompt,
    Format.SHAREGPT: _sharegpt,
    Format.ALPACA: _alpaca,
}
_TOOLS = frozenset({"tools", "functions", "parallel_tool_calls"})
_KEYS: dict[Format, frozenset[str]] = {
    Format.CHAT: _TOOLS | {"messages"},
    Format.CHAT_PROMPT: _TOOLS | {"messages"},
    Format.PROMPT_COMPLETION: frozenset({"prompt", "completion"}),
    Format.PROMPT_COMPLETION_CHAT: _TOOLS | {"prompt", "completion"},
    Format.TEXT: frozenset({"text"}),
    Format.PREFERENCE: _TOOLS | {"prompt", "chosen", "rejected"},
    Format.OPENAI_PREFERENCE: frozenset({"input", *PREFERRED, *NOT_PREFERRED}),
    Format.UNPAIRED: _TOOLS | {"prompt", "completion", "label"},
    Format.PROMPT: _TOOLS | {"prompt"},
    Format.SHAREGPT: frozenset({"conversations", "system", "tools"}),
    Format.ALPACA: frozenset({"instruction", "input", "output", "system", "history"}),
}
