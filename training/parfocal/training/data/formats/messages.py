"""Messages as turns: OpenAI's, TRL's and ShareGPT's, with weights, tools and their calls."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from parfocal.registry.values import JSON, UnreadableJson, read_foreign_json
from parfocal.training.data.formats.faults import RowFault, check_keys, is_list, shown, text_of
from parfocal.training.data.rows import Turn

ROLES = ("system", "user", "assistant", "tool")
MESSAGE_KEYS = frozenset(
    {"role", "content", "weight", "name", "tool_calls", "tool_call_id", "reasoning_content", "function_call"}
)
_ALSO_CALLED = {"developer": "system", "function": "tool"}
_SHAREGPT_ROLES = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "chatgpt": "assistant",
    "bing": "assistant", "bard": "assistant", "system": "system", "observation": "tool", "tool": "tool",
    "function_response": "tool",
}  # fmt: skip
_TEXTS = ("name", "tool_call_id", "reasoning_content")


def turns_of(messages: JSON, *, learn: bool) -> tuple[Turn, ...]:
    """The turns that a list of messages says; assistant messages of weight 1 are learnt if `learn`."""
    return tuple(_turn(message, learn) for message in _listed(messages))


def sharegpt_turns(messages: JSON) -> tuple[Turn, ...]:
    """The turns of ShareGPT's `conversations`, also of those with `role` and `content`."""
    return tuple(_sharegpt_turn(message) for message in _listed(messages))


def tools_of(tools: JSON) -> tuple[Mapping[str, JSON], ...]:
    """The JSON schemas of tools, written as a list or as JSON in a text."""
    if tools is None or tools in ("", []):
        return ()
    if isinstance(tools, str):
        tools = _read(tools, "tools")
    if not is_list(tools) or not isinstance(tools, Sequence):
        raise RowFault("BAD_TOOLS", "has tools that are not a list of JSON schemas")
    for tool in tools:
        if not isinstance(tool, Mapping) or not isinstance(_function(tool).get("name"), str):
            raise RowFault(
                "BAD_TOOLS",
                f"has a tool without a name; first: {shown(tool)}",
                'write each tool as {"type": "function", "function": {"name": …, "parameters": {…}}}',
            )
    return tuple(tool for tool in tools if isinstance(tool, Mapping))


def functions_as_tools(functions: JSON) -> tuple[Mapping[str, JSON], ...]:
    """OpenAI's older `functions`, as tools."""
    if not is_list(functions) or not isinstance(functions, Sequence):
        return ()
    return tools_of([{"type": "function", "function": each} for each in functions])


def check_calls(turns: Sequence[Turn]) -> None:
    """Raises RowFault for a tool's call without a result, or a result that nothing called for.

    Calls that end the row are what it teaches, so they need no result.
    """
    open_calls: list[str] = []
    for turn in turns:
        if turn.role == "tool":
            answered = str(turn.extra.get("tool_call_id") or "")
            if not open_calls or (answered and all(open_calls) and answered not in open_calls):
                raise RowFault(
                    "TOOL_RESULT_UNASKED",
                    "has a tool message that answers no tool_call before it",
                    "put it after the assistant message that calls the tool, with its tool_call_id",
                )
            open_calls.remove(answered if answered in open_calls else open_calls[0])
            continue
        if open_calls:
            raise RowFault(
                "TOOL_CALL_UNANSWERED",
                "has a tool_call without the tool's result before the talk goes on",
                "add a message of role tool with its tool_call_id, or end the row with the call",
            )
        open_calls = [_id(call) for call in _calls(turn)]


def _listed(messages: JSON) -> Sequence[JSON]:
    if not is_list(messages) or not isinstance(messages, Sequence):
        raise RowFault("NOT_TEXT", "has messages that are not a list")
    if not messages:
        raise RowFault("EMPTY", "has no messages or an empty text", "fill in the text, or take the row out")
    return messages


def _turn(message: JSON, learn: bool) -> Turn:
    if not isinstance(message, Mapping):
        raise RowFault("NOT_TEXT", "has a message that is not an object with role and content")
    check_keys(message, MESSAGE_KEYS)
    written = message.get("role")
    role = _ALSO_CALLED.get(written, written) if isinstance(written, str) else written
    if role not in ROLES or not isinstance(role, str):
        raise RowFault(
            "WRONG_ROLE",
            f"has a role that is not {', '.join(ROLES)}; first: {shown(written)}",
            "rename the role",
        )
    extra = _extra(message, role)
    weight = _weight(message)
    return Turn(role, _content(message, extra), learn and role == "assistant" and weight == 1, extra)


def _content(message: Mapping[str, JSON], extra: Mapping[str, JSON]) -> str:
    content = message.get("content")
    if (content is None or content in ("", [])) and ("tool_calls" in extra or message.get("role") == "tool"):
        return ""  # a call without a word, or a tool that returned nothing
    return text_of(content)


def _extra(message: Mapping[str, JSON], role: str) -> dict[str, JSON]:
    """What a template may read besides, as serving gives it to it."""
    calls = message.get("tool_calls")
    if not calls and message.get("function_call"):
        calls = [{"type": "function", "function": message["function_call"]}]
    extra: dict[str, JSON] = {}
    if calls:
        if role != "assistant":
            raise RowFault("BAD_TOOL_CALL", f"has tool_calls in a message of role {role}, who calls no tools")
        if not is_list(calls) or not isinstance(calls, Sequence):
            raise RowFault("BAD_TOOL_CALL", "has tool_calls that are not a list")
        extra["tool_calls"] = [_call(call) for call in calls]
    for name in _TEXTS:
        value = message.get(name)
        if value is not None and not isinstance(value, str):
            raise RowFault("NOT_TEXT", f"has a {name} that is not text; first: {shown(value)}")
        if value:
            extra[name] = value
    return extra


def _call(call: JSON) -> Mapping[str, JSON]:
    function = _function(call) if isinstance(call, Mapping) else {}
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(call, Mapping) or not isinstance(name, str) or not name:
        raise RowFault("BAD_TOOL_CALL", f"has a tool_call without the tool's name; first: {shown(call)}")
    if isinstance(arguments, str):
        arguments = _read(arguments or "{}", "arguments")
    if arguments is not None and not isinstance(arguments, Mapping):
        raise RowFault("BAD_TOOL_CALL", "has a tool_call whose arguments are not an object")
    read: dict[str, JSON] = {"type": "function", "function": {"name": name, "arguments": arguments or {}}}
    return {**read, "id": call["id"]} if isinstance(call.get("id"), str) and call["id"] else read


def _function(tool: Mapping[str, JSON]) -> Mapping[str, JSON]:
    inner = tool.get("function")
    return inner if isinstance(inner, Mapping) else tool


def _read(text: str, what: str) -> JSON:
    try:
        return read_foreign_json(text.encode("utf-8", "surrogatepass"))
    except UnreadableJson as error:
        raise RowFault(
            "BAD_TOOL_CALL" if what == "arguments" else "BAD_TOOLS",
            f"has {what} that are not JSON; first: {error}",
            "write them as a JSON object, or as its text",
        ) from error


def _weight(message: Mapping[str, JSON]) -> int:
    weight = message.get("weight", 1)
    if weight is None:
        return 1
    if isinstance(weight, bool) or weight not in (0, 1):
        raise RowFault(
            "BAD_WEIGHT",
            f"has a weight other than 0 and 1; first: {shown(weight)}",
            "give 0 to messages that are not to be learnt, 1 or nothing to the others",
        )
    return int(weight == 1)


def _sharegpt_turn(message: JSON) -> Turn:
    if not isinstance(message, Mapping):
        raise RowFault("NOT_TEXT", "has a message that is not an object with from and value")
    if "from" not in message:
        return _turn(message, learn=True)
    check_keys(message, ("from", "value", "weight"))
    written = message["from"]
    if written == "function_call":
        call = _read(str(message.get("value")), "arguments")
        return Turn("assistant", "", True, {"tool_calls": [_call(call)]})
    role = _SHAREGPT_ROLES.get(written) if isinstance(written, str) else None
    if role is None:
        known = ", ".join(("human", "gpt", "system", "function_call", "observation"))
        raise RowFault("WRONG_ROLE", f"has a role that is not {known}; first: {shown(written)}")
    turn = Turn(role, text_of(message.get("value")), role == "assistant")
    return replace(turn, learn=turn.learn and _weight(message) == 1)


def _calls(turn: Turn) -> Sequence[JSON]:
    calls = turn.extra.get("tool_calls")
    return calls if isinstance(calls, Sequence) and not isinstance(calls, str) else ()


def _id(call: JSON) -> str:
    return str(call.get("id") or "") if isinstance(call, Mapping) else ""
