"""Chats with tools: read as serving reads them, and refused where a call and its result do not meet."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes.data.files import read_examples
from parfocal.training.data.rows import Row

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def _call(arguments: object, id_: str = "call_1") -> dict[str, object]:
    function = {"name": "f", "arguments": arguments}
    return {"role": "assistant", "tool_calls": [{"id": id_, "type": "function", "function": function}]}


def _result(id_: str = "call_1") -> dict[str, object]:
    return {"role": "tool", "tool_call_id": id_, "content": "7"}


def _read(path: Path, row: Mapping[str, object]) -> Row:
    read = read_examples(path / "data.jsonl", [row])
    assert read.by_code == {}
    (found,) = read.examples
    assert isinstance(found, Row)
    return found


@pytest.mark.parametrize("arguments", ['{"x": 1}', {"x": 1}], ids=["as OpenAI writes", "as TRL writes"])
def test_calls_results_and_tools_are_read_as_serving_gives_them_to_the_template(
    tmp_path: Path, arguments: object
) -> None:
    row = _read(tmp_path, {"messages": [USER, _call(arguments), _result(), ANSWER], "tools": [TOOL]})

    assert [turn.role for turn in row.turns] == ["user", "assistant", "tool", "assistant"]
    assert [turn.learn for turn in row.turns] == [False, True, False, True]
    assert row.turns[1].content == ""
    assert row.turns[1].extra == {
        "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {"x": 1}}, "id": "call_1"}]
    }
    assert row.turns[2].extra == {"tool_call_id": "call_1"}
    assert row.tools == (TOOL,)


def test_a_row_may_end_with_the_call_that_it_teaches(tmp_path: Path) -> None:
    assert _read(tmp_path, {"messages": [USER, _call("{}")]}).turns[-1].learn


def test_openais_older_functions_are_tools(tmp_path: Path) -> None:
    call = {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": "{}"}}
    result = {"role": "function", "name": "f", "content": "7"}
    row = _read(tmp_path, {"messages": [USER, call, result, ANSWER], "functions": [TOOL["function"]]})

    assert [turn.role for turn in row.turns] == ["user", "assistant", "tool", "assistant"]
    assert row.tools == (TOOL,)


def test_tools_may_be_json_in_a_text(tmp_path: Path) -> None:
    assert _read(tmp_path, {"messages": [USER, ANSWER], "tools": json.dumps([TOOL])}).tools == (TOOL,)


def test_two_calls_at_once_are_answered_in_any_order(tmp_path: Path) -> None:
    both = _call("{}")
    both["tool_calls"] += _call("{}", "call_2")["tool_calls"]  # type: ignore[operator]
    row = _read(tmp_path, {"messages": [USER, both, _result("call_2"), _result("call_1"), ANSWER]})

    assert len(row.turns) == 5


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([USER, _call("{}"), ANSWER], "TOOL_CALL_UNANSWERED"),
        ([USER, _call("{}"), USER, ANSWER], "TOOL_CALL_UNANSWERED"),
        ([USER, _result(), ANSWER], "TOOL_RESULT_UNASKED"),
        ([USER, _call("{}"), _result("other"), ANSWER], "TOOL_RESULT_UNASKED"),
        ([USER, _call("{oops"), _result(), ANSWER], "BAD_TOOL_CALL"),
        ([USER, _call("[1]"), _result(), ANSWER], "BAD_TOOL_CALL"),
        ([USER, {"role": "assistant", "tool_calls": [{"id": "1"}]}], "BAD_TOOL_CALL"),
        ([USER | {"tool_calls": [{"function": {"name": "f"}}]}, ANSWER], "BAD_TOOL_CALL"),
    ],
)
def test_calls_that_cannot_be_are_refused_with_their_line(
    tmp_path: Path, messages: list[object], code: str
) -> None:
    read = read_examples(tmp_path / "data.jsonl", [{"messages": [USER, ANSWER]}, {"messages": messages}])

    assert read.by_code[code].lines == (2,)
    assert len(read.examples) == 1


@pytest.mark.parametrize("tools", ["{oops", [{"function": {}}], ["f"], {"name": "f"}])
def test_tools_that_are_no_schemas_are_refused(tmp_path: Path, tools: object) -> None:
    read = read_examples(tmp_path / "data.jsonl", [{"messages": [USER, ANSWER], "tools": tools}])

    assert read.by_code["BAD_TOOLS"].lines == (1,)
