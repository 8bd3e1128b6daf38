"""Conversations as the command reads them: the shapes in which messages come, and what is wrong with some."""

import json
from pathlib import Path

import pytest
import typer

from parfocal.cli.conversation import Conversation, conversation
from parfocal.cli.template_variables import read_variables
from parfocal.client import Message, ToolCall

HI = {"role": "user", "content": "Hi"}
YO = {"role": "assistant", "content": "yo"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]}


def _file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "chat.json"
    path.write_text(text, "utf-8")
    return str(path)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([HI, YO]),
        json.dumps([HI, YO], indent=2),
        json.dumps({"messages": [HI, YO], "temperature": 1}),
        f"{json.dumps(HI)}\n\n{json.dumps(YO)}\n",
        f"\ufeff{json.dumps([PARTS, YO])}",
    ],
)
def test_messages_come_as_a_list_an_object_or_lines(tmp_path: Path, text: str) -> None:
    file = _file(tmp_path, text)

    messages = (Message("user", "Hi"), Message("assistant", "yo"))

    assert conversation(file, None, None) == Conversation(messages)
    assert conversation(file, "Be kind.", "More").messages == (
        Message("system", "Be kind."),
        *messages,
        Message("user", "More"),
    )


def test_one_object_is_one_message(tmp_path: Path) -> None:
    assert conversation(_file(tmp_path, json.dumps(HI)), None, None).messages == (Message("user", "Hi"),)


def test_tools_are_called_and_answer(tmp_path: Path) -> None:
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": '{"b": 1, "a": "é"}'}}
    loose = {"function": {"name": "g", "arguments": {"z": 1, "a": [2]}}}
    bare = {"function": {"name": "h"}}
    calling = {"role": "assistant", "content": None, "tool_calls": [call, loose, bare]}
    answer = {"role": "tool", "tool_call_id": "1", "name": "f", "content": "42"}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    file = _file(tmp_path, json.dumps({"messages": [HI, calling, answer], "tools": [tool]}))

    said = conversation(file, None, None)

    assert said.messages[1].content == ""
    assert said.messages[1].tool_calls == (
        ToolCall("f", '{"b": 1, "a": "é"}', "1"),
        ToolCall("g", '{"z": 1, "a": [2]}'),
        ToolCall("h", "{}"),
    )
    assert said.messages[2] == Message("tool", "42", (), "1", "f")
    assert said.tools == (json.dumps(tool),)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON"),
        ("[", "not JSON"),
        (f"{json.dumps(HI)}\n{{\n", "line 2 is not JSON"),
        ("[]", "no messages"),
        ('{"messages": "Hi"}', "no messages"),
        ("3", "no messages"),
        ('["Hi"]', "message 1 is not an object"),
        ('[{"role": "user"}]', "message 1 lacks"),
        ('[{"content": "Hi"}]', "message 1 lacks"),
        ('[{"role": "user", "content": [{"type": "image"}]}]', "message 1 lacks"),
        (
            '[{"role": "assistant", "content": "", "tool_calls": [{}]}]',
            "message 1 has a tool call that is not",
        ),
        (
            '[{"role": "assistant", "content": "", "tool_calls": {}}]',
            "the tool_calls of message 1 are not a list",
        ),
        ('[{"role": "assistant", "tool_calls": [{"function": {"name": 1}}]}]', "message 1 has a tool call"),
        ('[{"role": "assistant", "content": "", "function_call": {"name": "f"}}]', "use tool_calls"),
        (
            '[{"role": "tool", "content": "", "tool_call_id": 1}]',
            "message 1 has tool_call_id that is not text",
        ),
        ('[{"role": "tool", "content": null}]', "message 1 lacks"),
        ('{"messages": [{"role": "user", "content": "Hi"}], "tools": ["f"]}', "a tool is not an object"),
        ('{"messages": [{"role": "user", "content": "Hi"}], "tools": {}}', "tools are not a list"),
        ('[{"role": "user", "content": "\\ud800"}]', "half of a surrogate pair"),
        (f"{json.dumps({'messages': [HI]})}\n" * 2, "more than one chat"),
    ],
)
def test_what_is_no_conversation_is_a_usage_error_that_says_why(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(typer.BadParameter, match=says):
        conversation(_file(tmp_path, text), None, None)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(typer.BadParameter, match=r"absent.json cannot be read: No such file"):
        conversation(str(tmp_path / "absent.json"), None, None)
    (tmp_path / "latin.json").write_bytes(b'["\xfc"]')
    with pytest.raises(typer.BadParameter, match="not UTF-8 at byte 2"):
        conversation(str(tmp_path / "latin.json"), None, None)


def test_a_second_system_message_is_refused(tmp_path: Path) -> None:
    file = _file(tmp_path, json.dumps([{"role": "system", "content": "a"}, HI]))
    with pytest.raises(typer.BadParameter, match="system message already"):
        conversation(file, "b", None)


def test_template_variables_are_json_or_else_text() -> None:
    given = ["enable_thinking=false", "n=3", "effort=low", 'tags=["a"]', "empty=", "equation=a=b", "x=NaN"]

    assert read_variables(given) == {
        "enable_thinking": False,
        "n": 3,
        "effort": "low",
        "tags": ["a"],
        "empty": "",
        "equation": "a=b",
        "x": "NaN",
    }


@pytest.mark.parametrize("pair", ["thinking", "=1", ""])
def test_a_variable_without_name_or_value_is_a_usage_error(pair: str) -> None:
    with pytest.raises(typer.BadParameter, match="NAME=VALUE"):
        read_variables([pair])
