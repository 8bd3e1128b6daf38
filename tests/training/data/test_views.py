"""A view takes the rows that its methods read, and refuses others with the way to make them fit."""

from pathlib import Path

import pytest

from fakes.training import write_jsonl
from parfocal.training.data import METHOD_VIEWS, VIEWS, read_rows

U = {"role": "user", "content": "hi"}
A = {"role": "assistant", "content": "hello"}
ROWS: dict[str, dict[str, object]] = {
    "sft": {"messages": [U, A]},
    "text": {"text": "a b"},
    "preference": {"prompt": "a", "chosen": "b", "rejected": "c"},
    "unpaired": {"prompt": "a", "completion": "b", "label": True},
    "prompts": {"prompt": "a"},
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("kind", ROWS)
def test_each_view_takes_its_own_rows_and_no_others(tmp_path: Path, view: str, kind: str) -> None:
    read = read_rows(write_jsonl(tmp_path / "data.jsonl", [ROWS[kind]]), VIEWS[view])

    assert len(read.rows) == (view == kind)
    assert [finding.code for finding in read.findings] == ([] if view == kind else ["WRONG_FORMAT"])
    assert all(finding.fix for finding in read.findings)


def test_every_method_has_a_view() -> None:
    assert set(METHOD_VIEWS.values()) == VIEWS.keys()


def test_chats_without_an_answer_are_named_as_such(tmp_path: Path) -> None:
    read = read_rows(write_jsonl(tmp_path / "data.jsonl", [{"messages": [U]}]), VIEWS["sft"])

    assert [finding.code for finding in read.findings] == ["LAST_NOT_ASSISTANT"]
