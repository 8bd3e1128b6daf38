"""A conversation from the command line: messages of a file, a system message, a prompt. No server."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from parfocal.cli.template_variables import read_variables
from parfocal.client import InvalidRequest, Message
from parfocal.client.asking import read_message


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages, the oldest first, and the tools that may be called, each a JSON object as text."""

    messages: tuple[Message, ...] = ()
    tools: tuple[str, ...] = ()


PromptArgument = Annotated[
    str | None,
    typer.Argument(metavar="PROMPT", help="What to ask; - reads standard input.", show_default=False),
]
RawOption = Annotated[
    bool | None,
    typer.Option(
        "--raw/--no-raw",
        help="As plain text to go on with, or as a chat message. Default: as the adapter was trained, "
        "or else as a chat message if the base has a chat template.",
        show_default=False,
    ),
]
SystemOption = Annotated[
    str | None, typer.Option("--system", metavar="TEXT", help="The system message, which comes first.")
]
ChatOption = Annotated[
    str | None,
    typer.Option(
        "--chat",
        metavar="FILE",
        help="Messages before the prompt, if any, and tools: JSON or JSON lines; - reads standard input.",
    ),
]
VariableOption = Annotated[
    list[str] | None,
    typer.Option(
        "--template-variable",
        metavar="NAME=VALUE",
        help="What the chat template reads, such as enable_thinking=false; may be repeated.",
    ),
]

_STANDARD_INPUT = "-"
_FLAG = "--chat"
_SHAPE = 'messages such as {"role": "user", "content": "Hi"}, in a list, as {"messages": […]}, or one a line'


@dataclass(frozen=True, slots=True)
class Said:
    """What the user says. `chat` None means the form that the adapter, or else the base, was trained on.

    `conversation` is the chat, with `prompt` at its end; raw, the prompt goes alone.
    """

    prompt: str
    conversation: Conversation
    variables: Mapping[str, Any]
    chat: bool | None


def read_said(
    prompt: str | None, *, chat: str | None, system: str | None, variables: Iterable[str], raw: bool | None
) -> Said:
    """What a command's arguments say together; reads `chat` and standard input.

    Raises:
        typer.BadParameter: they contradict each other, or one of them cannot be read.
    """
    if prompt is None and chat is None:
        raise typer.BadParameter("say what to ask, or give a --chat", param_hint="PROMPT")
    if prompt == chat == _STANDARD_INPUT:
        raise typer.BadParameter("standard input holds the prompt already; give a file", param_hint=_FLAG)
    known = read_variables(variables)
    in_chat = bool(chat is not None or system is not None or known)
    if raw and in_chat:
        raise typer.BadParameter(
            "plain text has no messages and no template; leave out --chat, --system and --template-variable",
            param_hint="--raw",
        )
    text = _text(prompt, "PROMPT") if prompt == _STANDARD_INPUT else prompt
    form = True if in_chat else None if raw is None else not raw
    return Said(text or "", conversation(chat, system, text), known, form)


def conversation(file: str | None, system: str | None, prompt: str | None) -> Conversation:
    """The messages of `file`, `system` before them, `prompt` after them.

    Raises:
        typer.BadParameter: the file cannot be read as one conversation, or has a system message already.
    """
    said = _conversation(_text(file, _FLAG)) if file is not None else Conversation()
    before = () if system is None else (Message("system", system),)
    after = () if prompt is None else (Message("user", prompt),)
    if before and said.messages and said.messages[0].role == "system":
        raise typer.BadParameter("the chat begins with a system message already", param_hint="--system")
    return Conversation((*before, *said.messages, *after), said.tools)


def _text(file: str, hint: str) -> str:
    name = "standard input" if file == _STANDARD_INPUT else file
    try:
        data = sys.stdin.buffer.read() if file == _STANDARD_INPUT else Path(file).read_bytes()
        return data.decode("utf-8-sig").replace("\r\n", "\n")
    except OSError as error:
        raise typer.BadParameter(f"{name} cannot be read: {error.strerror}", param_hint=hint) from error
    except UnicodeDecodeError as error:
        raise typer.BadParameter(
            f"{name} is not UTF-8 at byte {error.start}; convert it with iconv", param_hint=hint
        ) from error


def _conversation(text: str) -> Conversation:
    values = _values(text)
    whole, tools = values[0] if len(values) == 1 else values, None
    if isinstance(whole, Mapping):
        whole, tools = whole.get("messages", [whole]), whole.get("tools")
    if not isinstance(whole, list) or not whole:
        raise typer.BadParameter(f"there are no messages; give {_SHAPE}", param_hint=_FLAG)
    messages = tuple(_message(place, message) for place, message in enumerate(whole, 1))
    said = Conversation(messages, tuple(_tool(tool) for tool in _listed(tools, "tools")))
    try:
        _json(astuple(said)).encode("utf-8")
    except UnicodeEncodeError as error:
        raise typer.BadParameter("half of a surrogate pair is no text", param_hint=_FLAG) from error
    return said


def _values(text: str) -> list[Any]:
    """The JSON values of the text: one, or one a line."""
    try:
        return [json.loads(text)]
    except (ValueError, RecursionError) as error:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2:
            raise typer.BadParameter(f"this is not JSON: {error}; give {_SHAPE}", param_hint=_FLAG) from error
    return [_line(number, line) for number, line in lines]


def _line(number: int, line: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise typer.BadParameter(f"line {number} is not JSON: {error}", param_hint=_FLAG) from error


def _message(place: int, message: Any) -> Message:
    if isinstance(message, Mapping) and "messages" in message:
        raise typer.BadParameter("there is more than one chat; give one", param_hint=_FLAG)
    try:
        return read_message(f"message {place}", message)
    except InvalidRequest as error:
        raise typer.BadParameter(str(error), param_hint=_FLAG) from error


def _tool(tool: Any) -> str:
    if not isinstance(tool, Mapping):
        raise typer.BadParameter("a tool is not an object, such as a function's schema", param_hint=_FLAG)
    return _json(tool)


def _listed(value: Any, what: str) -> list[Any]:
    """A list that may be absent."""
    if value is None:
        return []
    if not isinstance(value, list):
        raise typer.BadParameter(f"{what} are not a list", param_hint=_FLAG)
    return value


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
