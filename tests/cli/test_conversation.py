"""Conversations as the command reads them: the shapes in which messages come, and what is wrong with some."""

import json
from pathlib import Path

import pytest
import typer

from parfocal.cli.conversation import conversation
from parfocal.cli.template_variables import read_variables

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

    assert conversation(file, None, None) == (("user", "Hi"), ("assistant", "yo"))
    assert conversation(file, "Be kind.", "More") == (
        ("system", "Be kind."),
        ("user", "Hi"),
        ("assistant", "yo"),
        ("user", "More"),
    )


def test_one_object_is_one_message(tmp_path: Path) -> None:
    assert conversation(_file(tmp_path, json.dumps(HI)), None, None) == (("user", "Hi"),)


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
        ('[{"role": "assistant", "content": "", "tool_calls": [{}]}]', "tool_calls"),
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
