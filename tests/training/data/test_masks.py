"""The view of a row as the loss sees it proves that nothing but answers is learnt."""

from pathlib import Path

import pytest

from fakes.data.rows import dialogue, row
from parfocal.training.data import BaseEncoder, Example, MaskedRow, PreferenceRow, PromptRow, State, masked
from parfocal.training.data.rows import Row, Turn


@pytest.fixture(scope="module")
def encoder(tokenizer_folder: Path) -> BaseEncoder:
    return BaseEncoder(tokenizer_folder)


def _text(found: MaskedRow, state: State) -> list[str]:
    return [each.text for each in found.stretches if each.state is state]


def _one(example: Example, encoder: BaseEncoder, max_length: int | None = None) -> MaskedRow:
    (found,) = masked(example, encoder, max_length)
    return found


def test_only_answers_and_the_tokens_that_end_them_are_learnt(encoder: BaseEncoder) -> None:
    found = _one(dialogue(3, [("q1", "one", True), ("q2", "two", True)], system="be kind"), encoder)

    assert _text(found, State.LEARNT) == ["one<|im_end|>", "two<|im_end|>"]
    assert found.beside() == ("<|im_end|>",)
    assert (found.source, found.line) == ("data.jsonl", 3)
    assert "".join(each.text for each in found.stretches) == (
        "<|im_start|>system\nbe kind<|im_end|>\n<|im_start|>user\nq1<|im_end|>\n<|im_start|>assistant\n"
        "one<|im_end|>\n<|im_start|>user\nq2<|im_end|>\n<|im_start|>assistant\ntwo<|im_end|>\n"
    )


def test_an_answer_of_weight_zero_is_only_read(encoder: BaseEncoder) -> None:
    found = _one(dialogue(1, [("q1", "one", False), ("q2", "two", True)]), encoder)

    assert _text(found, State.LEARNT) == ["two<|im_end|>"]
    assert "one" in _text(found, State.READ)[0]


def test_what_is_cut_is_neither_learnt_nor_read(encoder: BaseEncoder) -> None:
    whole = _one(dialogue(1, [("q1", "one", True), ("q2", "two", True)]), encoder)
    before = len(["<|im_start|>"]) + len("user\nq1") + 2 + len("\n") + len("assistant\n") - 1
    cut = _one(dialogue(1, [("q1", "one", True), ("q2", "two", True)]), encoder, before + 4)

    assert cut.count(State.READ) + cut.count(State.LEARNT) == before + 4
    assert "".join(_text(cut, State.LEARNT)) in "one<|im_end|>"
    assert "two" in "".join(_text(cut, State.CUT))
    assert sum(len(each.ids) for each in cut.stretches) == sum(len(each.ids) for each in whole.stretches)


def test_an_answer_that_is_cut_in_the_middle_learns_its_beginning(encoder: BaseEncoder) -> None:
    found = _one(row(1, "ab", "cdefgh"), encoder, 5)

    assert [(each.state, each.text) for each in found.stretches] == [
        (State.READ, "ab"),
        (State.LEARNT, "cde"),
        (State.CUT, "fgh<|im_end|>"),
    ]
    assert found.beside() == ()


def test_of_a_preference_both_answers_are_shown(encoder: BaseEncoder) -> None:
    chosen, rejected = masked(PreferenceRow(row(1, "a", "good"), row(1, "a", "bad")), encoder)

    assert (chosen.part, rejected.part) == ("chosen", "rejected")
    assert _text(rejected, State.LEARNT) == ["bad<|im_end|>"]


def test_of_a_prompt_nothing_is_learnt(encoder: BaseEncoder) -> None:
    asked = Row("data.jsonl", 1, (Turn("user", "hi"),), raw=False)
    found = _one(PromptRow(asked), encoder)

    assert found.count(State.LEARNT) == 0
    assert _text(found, State.READ) == ["<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n"]


def test_a_text_is_learnt_whole_but_for_its_first_token(encoder: BaseEncoder) -> None:
    text = Row("data.jsonl", 1, (Turn("assistant", "abc", learn=True),), raw=True)

    assert _text(_one(text, encoder), State.LEARNT) == ["bc<|im_end|>"]


def test_an_answer_without_words_hides_no_other(encoder: BaseEncoder) -> None:
    turns = (
        Turn("user", "q"),
        Turn("assistant", "", True),
        Turn("user", "r"),
        Turn("assistant", "two", True),
    )
    found = _one(Row("data.jsonl", 1, turns, raw=False), encoder)

    assert found.beside() == ("<|im_end|>",)
