"""The checks that need a tokenizer: each fault is named with its lines, and no row disappears unnamed."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from parfocal.registry.values import JSON
from parfocal.training import Finding, Severity
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.rows import Row, Turn
from parfocal.training.data.tokens import Tokenised, cut, tokenise


@pytest.fixture(scope="module")
def encoder(tokenizer_folder: Path) -> BaseEncoder:
    return BaseEncoder(tokenizer_folder)


def row(line: int, prompt: str, answer: str, raw: bool = True) -> Row:
    return Row("data.jsonl", line, (Turn("user", prompt), Turn("assistant", answer, learn=True)), raw)


def by_code(tokenised: Tokenised) -> dict[str, Finding]:
    return {finding.code: finding for finding in tokenised.findings}


def test_good_rows_have_no_finding(encoder: BaseEncoder) -> None:
    found = tokenise([row(1, "a", "b"), row(2, "c", "d")], encoder)

    assert len(found.samples) == 2
    assert found.findings == ()


def test_a_special_token_in_a_chat_is_refused(encoder: BaseEncoder) -> None:
    found = by_code(tokenise([row(1, "a", "b", False), row(2, "a<|im_end|>", "b", False)], encoder))

    assert found["SPECIAL_TOKEN"].severity is Severity.ERROR
    assert found["SPECIAL_TOKEN"].lines == (2,)


def test_a_special_token_in_a_raw_prompt_may_be_meant(encoder: BaseEncoder) -> None:
    found = by_code(tokenise([row(1, "a", "b"), row(2, "<|im_start|>a", "b")], encoder))

    assert found["SPECIAL_TOKEN"].severity is Severity.WARNING
    assert found["SPECIAL_TOKEN"].lines == (2,)


def test_chats_need_a_template(tokenizer_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tokenizer_folder, tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").unlink()
    encoder = BaseEncoder(tmp_path / "base")

    assert by_code(tokenise([row(1, "a", "b", False)], encoder))["NO_TEMPLATE"].lines == (1,)
    assert tokenise([row(1, "a", "b")], encoder).findings == ()


WEATHER: Mapping[str, JSON] = {
    "type": "function",
    "function": {"name": "weather_of", "parameters": {"type": "object"}},
}
CALL: Mapping[str, JSON] = {
    "type": "function",
    "function": {"name": "weather_of", "arguments": {"city": "Lima"}},
}
TELLS_TOOLS = (
    "{% for tool in tools %}{{ tool.function.name }} {% endfor %}"
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content }}"
    "{% for call in m.tool_calls or [] %}{{ call.function.name }}({{ call.function.arguments }}){% endfor %}"
    "{{ '<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def calling(line: int, *, learn: bool) -> Row:
    turns = (
        Turn("user", "How warm is Lima?"),
        Turn("assistant", "", learn, {"tool_calls": [CALL]}),
        Turn("tool", "19"),
        Turn("assistant", "It has 19 degrees.", learn=True),
    )
    return Row("data.jsonl", line, turns, raw=False, tools=(WEATHER,))


def test_calls_that_the_template_does_not_write_are_not_learnt_as_silence(encoder: BaseEncoder) -> None:
    tokenised = tokenise([calling(1, learn=True), calling(2, learn=False)], encoder)
    found = by_code(tokenised)

    assert found["TOOL_CALLS_LOST"].severity is Severity.ERROR
    assert found["TOOL_CALLS_LOST"].lines == (1,)
    assert [sample.row.line for sample in tokenised.samples] == [2]


def test_tools_that_the_template_does_not_tell_of_are_named(encoder: BaseEncoder) -> None:
    found = by_code(tokenise([calling(1, learn=False), row(2, "a", "b", False)], encoder))

    assert found["TOOLS_UNTOLD"].severity is Severity.WARNING
    assert found["TOOLS_UNTOLD"].lines == (1,)


def test_a_template_that_writes_tools_and_calls_has_them_learnt(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tokenizer_folder, tmp_path / "base")
    (tmp_path / "base" / "chat_template.jinja").write_text(TELLS_TOOLS)
    tokenised = tokenise([calling(1, learn=True)], BaseEncoder(tmp_path / "base"))

    assert tokenised.findings == ()
    assert len(tokenised.samples) == 1


def test_rows_that_the_template_refuses_are_named_and_the_others_kept(
    tokenizer_folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(tokenizer_folder, tmp_path / "base")
    template = (tmp_path / "base" / "chat_template.jinja").read_text()
    refusal = "{% if messages[0].content == 'bad' %}{{ raise_exception('no') }}{% endif %}"
    (tmp_path / "base" / "chat_template.jinja").write_text(refusal + template)
    rows = [row(1, "good", "b", False), row(2, "bad", "b", False), row(3, "bad", "c", False)]
    found = tokenise(rows, BaseEncoder(tmp_path / "base"))

    assert [sample.row.line for sample in found.samples] == [1]
    assert by_code(found)["TEMPLATE_REFUSES"].lines == (2, 3)


def test_a_row_whose_answer_is_cut_off_is_refused_with_its_line(encoder: BaseEncoder) -> None:
    samples = tokenise([row(1, "ab", "cd"), row(2, "abcdefgh", "x")], encoder).samples
    found = cut(samples, 8)

    assert by_code(found)["NOTHING_TO_LEARN"].severity is Severity.ERROR
    assert by_code(found)["NOTHING_TO_LEARN"].lines == (2,)


def test_a_row_that_is_cut_within_its_answer_is_a_warning(encoder: BaseEncoder) -> None:
    samples = tokenise([row(1, "ab", "cd"), row(2, "ab", "cdefgh")], encoder).samples
    found = cut(samples, 6)

    assert list(by_code(found)) == ["TRUNCATED"]
    assert by_code(found)["TRUNCATED"].lines == (2,)
    assert "50% of the rows" in by_code(found)["TRUNCATED"].message
    assert [len(sample.ids) for sample in found.samples] == [5, 6]


def test_rows_that_fit_are_not_cut(encoder: BaseEncoder) -> None:
    samples = tokenise([row(1, "ab", "cd")], encoder).samples

    assert cut(samples, 5).samples == samples
    assert cut(samples, 5).findings == ()


def test_answers_without_a_stop_token_are_a_warning(tokenizer_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tokenizer_folder, tmp_path / "base")
    template = "{% for m in messages %}{{ m.content }}|{% endfor %}"
    (tmp_path / "base" / "chat_template.jinja").write_text(template)
    found = by_code(tokenise([row(7, "a", "b", False)], BaseEncoder(tmp_path / "base")))

    assert found["NO_STOP_TOKEN"].lines == (7,)


@pytest.mark.parametrize(("raw", "unread"), [(False, ["'thinking'"]), (True, ["'enable'", "'thinking'"])])
def test_a_variable_that_nothing_reads_is_named(
    tokenizer_folder: Path, tmp_path: Path, raw: bool, unread: list[str]
) -> None:
    shutil.copytree(tokenizer_folder, tmp_path / "base")
    template = "{{ enable }}{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    (tmp_path / "base" / "chat_template.jinja").write_text(template)
    encoder = BaseEncoder(tmp_path / "base", {"enable": True, "thinking": False})
    found = [f for f in tokenise([row(1, "a", "b", raw)], encoder).findings if f.code == "VARIABLE_UNREAD"]

    assert [finding.message.split()[2] for finding in found] == unread
