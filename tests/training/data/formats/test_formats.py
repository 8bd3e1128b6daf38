"""Every format that trainers write is known by its keys, read as one kind of value, and not mixed."""

from pathlib import Path

import pytest

from fakes.data.files import ReadExamples, read_examples
from parfocal.training.data.formats import Format
from parfocal.training.data.rows import PreferenceRow, PromptRow, Row, Turn, UnpairedRow

U = {"role": "user", "content": "hi"}
A = {"role": "assistant", "content": "hello"}
B = {"role": "assistant", "content": "go away"}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data.jsonl"


FORMATS: list[tuple[dict[str, object], Format, type]] = [
    ({"messages": [U, A]}, Format.CHAT, Row),
    ({"prompt": "a", "completion": "b"}, Format.PROMPT_COMPLETION, Row),
    ({"prompt": [U], "completion": [A]}, Format.PROMPT_COMPLETION_CHAT, Row),
    ({"text": "a b c"}, Format.TEXT, Row),
    ({"prompt": "a", "chosen": "b", "rejected": "c"}, Format.PREFERENCE, PreferenceRow),
    ({"prompt": [U], "chosen": [A], "rejected": [B]}, Format.PREFERENCE, PreferenceRow),
    ({"chosen": [U, A], "rejected": [U, B]}, Format.PREFERENCE, PreferenceRow),
    (
        {"input": {"messages": [U]}, "preferred_output": [A], "non_preferred_output": [B]},
        Format.OPENAI_PREFERENCE,
        PreferenceRow,
    ),
    (
        {"input": {"messages": [U]}, "preferred_completion": [A], "non_preferred_completion": [B]},
        Format.OPENAI_PREFERENCE,
        PreferenceRow,
    ),
    ({"prompt": "a", "completion": "b", "label": True}, Format.UNPAIRED, UnpairedRow),
    ({"prompt": [U], "completion": [A], "label": False}, Format.UNPAIRED, UnpairedRow),
    ({"prompt": "a", "answer": "7"}, Format.PROMPT, PromptRow),
    ({"prompt": [U]}, Format.PROMPT, PromptRow),
    ({"messages": [U], "answer": "7"}, Format.CHAT_PROMPT, PromptRow),
    (
        {"conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]},
        Format.SHAREGPT,
        Row,
    ),
    ({"instruction": "say", "input": "hi", "output": "hello"}, Format.ALPACA, Row),
]


@pytest.mark.parametrize(("row", "format_", "kind"), FORMATS)
def test_a_row_is_known_by_its_keys(data: Path, row: dict[str, object], format_: Format, kind: type) -> None:
    read = read_examples(data, [row])

    assert read.format is format_
    assert [type(each) for each in read.examples] == [kind]
    assert read.by_code == {}


@pytest.mark.parametrize("other", [row for row, format_, _ in FORMATS if format_ is not Format.CHAT])
def test_a_mixture_is_refused_with_the_lines_of_the_rarer_rows(data: Path, other: dict[str, object]) -> None:
    read = read_examples(data, [{"messages": [U, A]}, other, {"messages": [U, A]}])
    (code,) = read.by_code.keys() & {"MIXED_FORMATS", "LAST_NOT_ASSISTANT"}

    assert read.by_code[code].lines == (2,)


def _only(read: ReadExamples) -> object:
    assert read.by_code == {}
    (example,) = read.examples
    return example


def test_sharegpt_and_alpaca_become_the_same_chat_as_messages(data: Path) -> None:
    system = {"role": "system", "content": "be kind"}
    chat = _only(read_examples(data, [{"messages": [system, U, A]}]))
    conversations = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]

    assert _only(read_examples(data, [{"conversations": conversations, "system": "be kind"}])) == chat
    alpaca = {"system": "be kind", "instruction": "hi", "input": "", "output": "hello"}
    assert _only(read_examples(data, [alpaca])) == chat


def test_alpacas_input_and_history_come_where_they_belong(data: Path) -> None:
    row = {"instruction": "add", "input": "1 2", "output": "3", "history": [["hi", "hello"]]}
    found = _only(read_examples(data, [row]))

    assert isinstance(found, Row)
    assert [turn.content for turn in found.turns] == ["hi", "hello", "add\n1 2", "3"]


def test_sharegpt_calls_tools(data: Path) -> None:
    said = [
        {"from": "human", "value": "hi"},
        {"from": "function_call", "value": '{"name": "f", "arguments": {"x": 1}}'},
        {"from": "observation", "value": "7"},
        {"from": "gpt", "value": "seven"},
    ]
    found = _only(read_examples(data, [{"conversations": said, "tools": '[{"name": "f"}]'}]))

    assert isinstance(found, Row)
    assert [turn.role for turn in found.turns] == ["user", "assistant", "tool", "assistant"]
    assert found.tools == ({"name": "f"},)


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": [U], "chosen": [A], "rejected": [B]},
        {"chosen": [U, A], "rejected": [U, B]},
        {"prompt": "hi", "chosen": [U, A], "rejected": [U, B]},
        {"prompt": "hi", "chosen": [A], "rejected": [B]},
        {"input": {"messages": [U]}, "preferred_output": [A], "non_preferred_output": [B]},
    ],
)
def test_all_spellings_of_a_preference_are_one_value(data: Path, row: dict[str, object]) -> None:
    found = _only(read_examples(data, [row]))

    assert isinstance(found, PreferenceRow)
    assert found.chosen.turns == (Turn("user", "hi"), Turn("assistant", "hello", learn=True))
    assert found.rejected.turns == (Turn("user", "hi"), Turn("assistant", "go away", learn=True))


def test_texts_that_share_their_beginning_are_parted_after_it(data: Path) -> None:
    row = {"chosen": "Human: hi Assistant: hello", "rejected": "Human: hi Assistant: hell no"}
    found = _only(read_examples(data, [row]))

    assert isinstance(found, PreferenceRow)
    assert found.chosen.turns[0].content == "Human: hi Assistant:"
    assert found.chosen.turns[1].content == " hello"
    assert found.rejected.turns[1].content == " hell no"


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ({"prompt": "a", "chosen": "b", "rejected": "b"}, "SAME_ANSWERS"),
        ({"chosen": "b", "rejected": "c"}, "NO_PROMPT"),
        ({"prompt": "a", "chosen": "b", "rejected": [B]}, "NOT_TEXT"),
        ({"prompt": [U], "chosen": [U], "rejected": [B]}, "WRONG_ORDER"),
        ({"input": {"messages": [U]}, "preferred_output": [A]}, "NO_ANSWER"),
        ({"preferred_output": [A], "non_preferred_output": [B]}, "NOT_TEXT"),
        ({"chosen": [U, A, U], "rejected": [U, B, U]}, "LAST_NOT_ASSISTANT"),
        ({"text": " "}, "EMPTY"),
        ({"text": 7}, "NOT_TEXT"),
        ({"conversations": [{"from": "narrator", "value": "x"}]}, "WRONG_ROLE"),
        ({"conversations": []}, "EMPTY"),
        ({"instruction": "x", "output": ""}, "EMPTY"),
        ({"instruction": "x", "output": "y", "history": ["x"]}, "NOT_TEXT"),
        ({"prompt": "a", "completions": ["b"], "labels": [True]}, "UNKNOWN_FORMAT"),
    ],
)
def test_a_faulty_row_is_refused_with_its_line(data: Path, row: dict[str, object], code: str) -> None:
    read = read_examples(data, [row])

    assert read.by_code[code].lines == (1,)
    assert read.examples == ()


def test_the_other_values_of_a_prompt_are_there_for_graders(data: Path) -> None:
    found = _only(read_examples(data, [{"prompt": "a", "answer": "7", "points": 3}]))

    assert isinstance(found, PromptRow)
    assert found.fields == {"answer": "7", "points": 3}


def test_columns_may_be_called_otherwise(data: Path) -> None:
    row = {"question": "a", "answer": "b", "id": 1}
    read = read_examples(data, [row], {"prompt": "question", "completion": "answer"})

    assert read.format is Format.PROMPT_COMPLETION
    assert read.by_code.keys() == {"IGNORED_KEYS"}
