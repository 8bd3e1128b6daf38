"""Reads a chat's message: who says what, which tools there are, and what was called and answered."""

from collections.abc import Mapping

from google.protobuf import struct_pb2

from parfocal.engine.chats import Chat, Message, Value, check_variables
from parfocal.server.errors import BadRequest
from parfocal.server.requests import ToolChoice, json_object
from parfocal.v1 import inference_service_pb2 as pb

ROLES = ("system", "user", "assistant", "tool")


def read_chat(chat: pb.Chat) -> Chat:
    """The chat as templates read it; raises BadRequest, or InvalidRequest for a variable's name."""
    if not chat.messages:
        raise BadRequest("the chat is empty; give it at least one message", field="chat.messages")
    messages = tuple(
        _message(message, f"chat.messages[{place}]") for place, message in enumerate(chat.messages)
    )
    variables = {name: _plain(value) for name, value in chat.template_variables.fields.items()}
    check_variables(variables, "chat.template_variables")
    tools = tuple(json_object(tool, f"chat.tools[{place}]") for place, tool in enumerate(chat.tools))
    return Chat(messages, variables, tools)


def read_tool_choice(choice: pb.ToolChoice) -> ToolChoice:
    """What is said of the tools; raises BadRequest."""
    required = choice.mode == pb.ToolChoice.MODE_REQUIRED
    if choice.name and not required:
        raise BadRequest(
            f"the tool {choice.name[:64]!r} is named, but nothing must be called; set MODE_REQUIRED",
            field="chat.tool_choice.name",
        )
    return ToolChoice(choice.mode != pb.ToolChoice.MODE_NONE, required, choice.name, choice.single)


def tool_count(chat: pb.Chat) -> int:
    """How many tools a chat has, and calls of them."""
    return len(chat.tools) + sum(len(message.tool_calls) for message in chat.messages)


def tool_characters(chat: pb.Chat) -> int:
    """The size of all JSON that a chat's tools and their calls hold."""
    calls = (call for message in chat.messages for call in message.tool_calls)
    return sum(map(len, chat.tools)) + sum(len(call.arguments) for call in calls)


def _message(message: pb.Message, field: str) -> Message:
    if message.role not in ROLES:
        raise BadRequest(
            f"role {message.role[:40]!r} is unknown; it must be one of {', '.join(ROLES)}",
            field=f"{field}.role",
        )
    if message.tool_calls and message.role != "assistant":
        raise BadRequest(
            f"a message of role {message.role!r} has tool_calls; only an assistant calls tools",
            field=f"{field}.tool_calls",
        )
    read: dict[str, Value] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        read["tool_calls"] = [
            _call(call, f"{field}.tool_calls[{place}]") for place, call in enumerate(message.tool_calls)
        ]
    for name in ("tool_call_id", "name"):
        if text := getattr(message, name):
            read[name] = text
    return read


def _call(call: pb.ToolCall, field: str) -> Mapping[str, Value]:
    if not call.name:
        raise BadRequest("a tool call has no name; name the tool", field=f"{field}.name")
    arguments = json_object(call.arguments or "{}", f"{field}.arguments")
    read: dict[str, Value] = {"type": "function", "function": {"name": call.name, "arguments": arguments}}
    return {**read, "id": call.id} if call.id else read


def _plain(value: struct_pb2.Value) -> Value:
    """A value of a Struct, whose numbers are all doubles: templates should read 3, not 3.0."""
    kind = value.WhichOneof("kind")
    if kind == "struct_value":
        return {name: _plain(item) for name, item in value.struct_value.fields.items()}
    if kind == "list_value":
        return [_plain(item) for item in value.list_value.values]
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    return value.string_value if kind == "string_value" else None
