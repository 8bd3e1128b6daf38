"""Prompt and completion, and chats: which objects are rows, and what is said of those that are not."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes.training import write_jsonl
from parfocal.training import Finding, Severity
from parfocal.training.data.rows import Row, Turn
from parfocal.training.data.views import read_rows, sft

USER = {"role": "user", "content": "hi"}
ANSWER = {"role": "assistant", "content": "hello"}


@pytest.fixture
def read(tmp_path: Path) -> "Reader":
    return Reader(tmp_path / "data.jsonl")


class Reader:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __call__(self, *rows: Mapping[str, object]) -> tuple[tuple[Row, ...], dict[str, Finding]]:
        read = read_rows(write_jsonl(self._path, rows), sft)
        return read.rows, {finding.code: finding for finding in read.findings}

    def lines(self, *lines: str) -> tuple[list[int], dict[str, Finding]]:
        """The numbers of the lines that are rows, and what is said of the others."""
        self._path.write_text("\n".join(lines) + "\n")
        read = read_rows(self._path, sft)
        return [row.line for row in read.rows], {finding.code: finding for finding in read.findings}


def test_prompt_and_completion_are_joined_as_they_are(read: Reader) -> None:
    (row,), findings = read({"prompt": "2+2=", "completion": " 4"})

    assert row.raw
    assert row.turns == (Turn("user", "2+2="), Turn("assistant", " 4", learn=True))
    assert findings == {}


def test_every_assistant_message_is_learnt(read: Reader) -> None:
    system = {"role": "system", "content": "be kind"}
    (row,), findings = read({"messages": [system, USER, ANSWER, USER, ANSWER]})

    assert not row.raw
    assert [turn.learn for turn in row.turns] == [False, False, True, False, True]
    assert findings == {}


def test_weight_zero_takes_a_message_out_of_the_loss(read: Reader) -> None:
    (row,), _ = read({"messages": [USER, ANSWER | {"weight": 0}, USER, ANSWER | {"weight": 1}]})

    assert [turn.learn for turn in row.turns] == [False, False, False, True]


def test_prompt_and_completion_may_be_messages(read: Reader) -> None:
    (row,), _ = read({"prompt": [USER, ANSWER, USER], "completion": [ANSWER]})

    assert not row.raw
    assert [turn.learn for turn in row.turns] == [False, False, False, True]


def test_text_parts_of_openai_messages_are_joined(read: Reader) -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    (row,), _ = read({"messages": [{"role": "user", "content": parts}, ANSWER]})

    assert row.turns[0].content == "ab"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"prompt": "", "completion": "x"}, "EMPTY"),
        ({"prompt": "x", "completion": " \n"}, "EMPTY"),
        ({"messages": []}, "EMPTY"),
        ({"messages": [USER, {"role": "assistant", "content": ""}]}, "EMPTY"),
        ({"prompt": 7, "completion": "x"}, "NOT_TEXT"),
        ({"prompt": "x", "completion": None}, "EMPTY"),
        ({"prompt": "x", "completion": float("nan")}, "EMPTY"),
        ({"prompt": "x", "completion": [ANSWER]}, "NOT_TEXT"),
        ({"messages": "hi"}, "NOT_TEXT"),
        ({"messages": ["hi"]}, "NOT_TEXT"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}, ANSWER]}, "NOT_TEXT"),
        ({"messages": [{"role": "human", "content": "hi"}, ANSWER]}, "WRONG_ROLE"),
        ({"messages": [{"content": "hi"}, ANSWER]}, "WRONG_ROLE"),
        ({"messages": [USER, {"role": "system", "content": "x"}, ANSWER]}, "WRONG_ORDER"),
        ({"messages": [ANSWER]}, "WRONG_ORDER"),
        ({"messages": [{"role": "system", "content": "x"}, ANSWER]}, "WRONG_ORDER"),
        ({"prompt": [USER], "completion": [USER, ANSWER]}, "WRONG_ORDER"),
        ({"messages": [USER, ANSWER, USER]}, "LAST_NOT_ASSISTANT"),
        ({"messages": [USER]}, "LAST_NOT_ASSISTANT"),
        ({"messages": [USER, ANSWER | {"weight": 2}]}, "BAD_WEIGHT"),
        ({"messages": [USER, ANSWER | {"weight": True}]}, "BAD_WEIGHT"),
        ({"messages": [USER, ANSWER | {"weight": 0}]}, "NOTHING_TO_LEARN"),
        ({"prompt": "x"}, "MIXED_FORMATS"),
        ({"messages": [USER, ANSWER], "prompt": "x"}, "UNKNOWN_FORMAT"),
        ({}, "UNKNOWN_FORMAT"),
    ],
)
def test_a_faulty_row_is_refused_with_its_line(read: Reader, row: dict[str, object], code: str) -> None:
    _, findings = read({"prompt": "a", "completion": "b"}, row)

    assert findings[code].severity is Severity.ERROR
    assert findings[code].lines == (2,)


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ({"question": "x", "answer": "y"}, "--column prompt=question --column completion=answer"),
        ({"Question": "x", "Response": "y"}, "--column prompt=Question --column completion=Response"),
        ({"input": "x", "output": "y"}, "--column prompt=input --column completion=output"),
        ({"colour": "x"}, "--column prompt=YOURS"),
    ],
)
def test_unknown_columns_get_a_hint_how_to_name_them(read: Reader, row: dict[str, object], hint: str) -> None:
    _, findings = read(row)

    assert hint in findings["UNKNOWN_FORMAT"].fix


def test_the_lines_of_one_fault_are_gathered_with_its_first_detail(read: Reader) -> None:
    _, findings = read(
        {"messages": [{"role": "human", "content": "x"}, ANSWER]},
        {"messages": [{"role": "bot", "content": "x"}, ANSWER]},
    )

    assert findings["WRONG_ROLE"].lines == (1, 2)
    assert "first: 'human'" in findings["WRONG_ROLE"].message


def test_a_mixture_of_formats_names_the_rarer_lines(read: Reader) -> None:
    text = {"prompt": "a", "completion": "b"}
    _, findings = read(text, {"messages": [USER, ANSWER]}, text)

    assert findings["MIXED_FORMATS"].severity is Severity.ERROR
    assert findings["MIXED_FORMATS"].lines == (2,)


def test_keys_that_are_not_used_are_named(read: Reader) -> None:
    rows, findings = read(
        {"prompt": "a", "completion": "b", "system": "be kind", "note": None},
        {"messages": [USER | {"mood": "good"}, ANSWER]},
    )

    assert len(rows) == 2
    assert findings["IGNORED_KEYS"].severity is Severity.WARNING
    assert findings["IGNORED_KEYS"].lines == (1, 2)
    assert "first: system" in findings["IGNORED_KEYS"].message


def test_a_row_says_which_kind_of_case_it_is(read: Reader) -> None:
    text = {"prompt": "a", "completion": "b"}
    rows, findings = read(text | {"slice": "short"}, text | {"slice": None}, text)

    assert [row.slice for row in rows] == ["short", "", ""]
    assert findings == {}


@pytest.mark.parametrize("name", ["", 7, ["a"], "x" * 101, "two\nlines"])
def test_a_slice_is_a_short_name(read: Reader, name: object) -> None:
    rows, findings = read({"prompt": "a", "completion": "b", "slice": name})

    assert rows == ()
    assert findings["BAD_SLICE"].severity is Severity.ERROR


ROW = '"prompt": "a", "completion": "b"'
TURNS = '{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"'


@pytest.mark.parametrize(
    "line",
    [
        f'{{{ROW}, "id": 1, "id": 2}}',
        f'{{{ROW}, "meta": {{"completion": 1, "completion": 2}}}}',
        f'{{{ROW}, "note": "half a pair: \\ud83d"}}',
        f'{{{ROW}, "half a pair \\udc00": [{{"\\ud83d": "\\ude00"}}]}}',
        f'{{"messages": [{TURNS}, "mood": "x", "mood": "\\ud800"}}]}}',
        f'{{"messages": [{TURNS}, "meta": {{"role": 1, "role": 2}}}}]}}',
    ],
)
def test_what_training_does_not_read_does_not_cost_the_row(read: Reader, line: str) -> None:
    rows, findings = read.lines(line)

    assert (rows, [*findings]) == ([1], ["IGNORED_KEYS"])
    findings["IGNORED_KEYS"].message.encode("utf-8")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f'{{{ROW}, "completion": "c"}}', "key 'completion' appears twice"),
        (f'{{"messages": [{TURNS}}}], "messages": []}}', "key 'messages' appears twice"),
        (f'{{"messages": [{TURNS}, "content": "c"}}]}}', "key 'content' appears twice"),
        (f'{{"messages": [{TURNS}, "weight": 1, "weight": 0}}]}}', "key 'weight' appears twice"),
        (
            '{"messages": [{"role": "user", "content": [{"type": "text", "text": "a", "text": "b"}]}]}',
            "key 'text' appears twice",
        ),
        ('{"prompt": "a", "completion": "\\ud83d"}', "half of a surrogate pair"),
        ('{"prompt": "\\udc00 a", "completion": "b"}', "half of a surrogate pair"),
        ('{"messages": [{"role": "user", "content": [{"type": "text", "text": "\\ud800"}]}]}', "half of a"),
    ],
)
def test_what_training_reads_must_be_one_text(read: Reader, line: str, reason: str) -> None:
    rows, findings = read.lines(line, f"{{{ROW}}}")

    assert rows == [2]
    assert reason in findings["BAD_JSON"].message
