"""Rows in tokens: what is learnt is exactly what serving would have to write, through its stop token.

The base's tokenizer has one token for each byte, so expectations can be written by hand.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer as BareTokenizer
from tokenizers import decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from oracle.chat_templates import TEMPLATES, tokenizer_with
from parfocal.engine.chats import Chat, plain_messages
from parfocal.registry import locate_base
from parfocal.server.requests import PromptEncoder, Tokenizer
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.rendering import MASKED, RenderFault, Sample, prompt_ids, render
from parfocal.training.data.rows import Row, Turn

USER = Turn("user", "hi")
ANSWER = Turn("assistant", "yo", learn=True)
SILENT = Turn("assistant", "no")


@pytest.fixture(scope="module")
def encoder(tokenizer_folder: Path) -> BaseEncoder:
    return BaseEncoder(tokenizer_folder)


def learnt(sample: Sample, encoder: BaseEncoder) -> str:
    """Returns the learnt tokens as text, with `·` for every gap."""
    text = ""
    for token, label in zip(sample.ids, sample.labels, strict=True):
        text += "·" if label == MASKED else str(encoder.tokenizer.decode([token]))
    while "··" in text:
        text = text.replace("··", "·")
    return text


def chat(*turns: Turn) -> Row:
    return Row("d", 1, turns, raw=False)


def raw(prompt: str, completion: str) -> Row:
    return Row("d", 1, (Turn("user", prompt), Turn("assistant", completion, learn=True)), raw=True)


def test_a_raw_row_learns_the_completion_and_the_end(encoder: BaseEncoder) -> None:
    sample = render(raw("2+2=", " 4"), encoder)

    assert encoder.tokenizer.decode(sample.ids.tolist()) == "2+2= 4<|im_end|>"
    assert learnt(sample, encoder) == "· 4<|im_end|>"
    assert sample.learnt == 3


def test_a_raw_completion_that_ends_itself_is_not_ended_twice(encoder: BaseEncoder) -> None:
    assert learnt(render(raw("a", "b<|im_end|>"), encoder), encoder) == "·b<|im_end|>"


def test_a_chat_learns_the_answer_with_its_stop_token_but_not_the_line_break_after(
    encoder: BaseEncoder,
) -> None:
    sample = render(chat(USER, ANSWER), encoder)

    assert encoder.tokenizer.decode(sample.ids.tolist()) == (
        "<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\nyo<|im_end|>\n"
    )
    assert learnt(sample, encoder) == "·yo<|im_end|>·"
    assert sample.labels[-1] == MASKED
    assert sample.ends and not sample.merged


def test_only_weighted_answers_are_learnt(encoder: BaseEncoder) -> None:
    sample = render(chat(Turn("system", "s"), USER, SILENT, USER, ANSWER, USER, ANSWER), encoder)

    assert learnt(sample, encoder) == "·yo<|im_end|>·yo<|im_end|>·"


def test_an_answer_begins_where_serving_begins_to_write(encoder: BaseEncoder) -> None:
    row = chat(USER, SILENT, USER, ANSWER)
    sample = render(row, encoder)
    first = next(at for at, label in enumerate(sample.labels) if label != MASKED)

    assert sample.ids[:first].tolist() == prompt_ids(row, encoder)


def test_cutting_keeps_labels_beside_their_tokens(encoder: BaseEncoder) -> None:
    sample = render(raw("ab", "cd"), encoder).cut(3)

    assert learnt(sample, encoder) == "·c"
    assert sample.learnt == 1


def with_template(folder: Path, tmp_path: Path, template: str) -> BaseEncoder:
    copy = tmp_path / "base"
    shutil.copytree(folder, copy)
    (copy / "chat_template.jinja").write_text(template)
    return BaseEncoder(copy)


FORGETS_THOUGHTS = (
    "{% for m in messages %}[{{ m.role }}]"
    "{% if loop.last and m.role == 'assistant' %}<think></think>{% endif %}"
    "{{ m.content }}<|im_end|>{% endfor %}{% if add_generation_prompt %}[assistant]{% endif %}"
)


def test_a_template_that_rewrites_earlier_answers_is_refused(tokenizer_folder: Path, tmp_path: Path) -> None:
    encoder = with_template(tokenizer_folder, tmp_path, FORGETS_THOUGHTS)

    with pytest.raises(RenderFault, match="rewrites") as fault:
        render(chat(USER, ANSWER, USER, ANSWER), encoder)
    assert fault.value.code == "TEMPLATE_REWRITES"


def test_such_a_template_may_teach_the_last_answer(tokenizer_folder: Path, tmp_path: Path) -> None:
    encoder = with_template(tokenizer_folder, tmp_path, FORGETS_THOUGHTS)
    sample = render(chat(USER, SILENT, USER, ANSWER), encoder)

    assert learnt(sample, encoder) == "·<think></think>yo<|im_end|>"


@pytest.mark.parametrize(
    ("template", "code"),
    [
        (
            "{% for m in messages %}{{ m.content }}{% endfor %}{% if add_generation_prompt %}A:{% endif %}",
            "TEMPLATE_UNSTABLE",
        ),
        ("{{ raise_exception('no roles') }}", "TEMPLATE_REFUSES"),
        ("{{ undefined_thing.x }}", "TEMPLATE_REFUSES"),
        ("{% for m in messages %}[{{ m.content | upper }}]{% endfor %}", "ANSWER_LOST"),
    ],
)
def test_a_template_that_cannot_be_trained_on_is_named(
    tokenizer_folder: Path, tmp_path: Path, template: str, code: str
) -> None:
    with pytest.raises(RenderFault) as fault:
        render(chat(USER, ANSWER), with_template(tokenizer_folder, tmp_path, template))
    assert fault.value.code == code


def test_a_template_without_a_stop_token_is_noticed(tokenizer_folder: Path, tmp_path: Path) -> None:
    template = "{% for m in messages %}{{ m.role }}:{{ m.content }}\n{% endfor %}"
    template += "{% if add_generation_prompt %}assistant:{% endif %}"
    encoder = with_template(tokenizer_folder, tmp_path, template)
    sample = render(chat(USER, ANSWER), encoder)

    assert not sample.ends
    assert learnt(sample, encoder) == "·yo\n"


@pytest.fixture
def merging(tmp_path: Path) -> BaseEncoder:
    """A base whose tokenizer has a token `ab` beside `a` and `b`."""
    tokenizer = BareTokenizer(models.BPE({"<e>": 0, "a": 1, "b": 2, "ab": 3, "c": 4}, [("a", "b")]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(["<e>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    settings = {"tokenizer_class": "TokenizersBackend", "eos_token": "<e>"}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    template = (
        "{% for m in messages %}{{ m.content }}{% if m.role == 'assistant' %}<e>{% endif %}{% endfor %}"
    )
    (tmp_path / "chat_template.jinja").write_text(template)
    return BaseEncoder(tmp_path)


@pytest.mark.parametrize("is_raw", [True, False])
def test_a_token_across_prompt_and_answer_is_taken_apart_as_serving_meets_it(
    merging: BaseEncoder, is_raw: bool
) -> None:
    sample = render(Row("d", 1, (Turn("user", "ca"), Turn("assistant", "bc", learn=True)), is_raw), merging)

    assert sample.ids.tolist() == [4, 1, 2, 4, 0]
    assert sample.labels.tolist() == [MASKED, MASKED, 2, 4, 0]
    assert sample.merged


@pytest.mark.parametrize("is_raw", [True, False])
def test_tokens_within_prompt_and_answer_stay_whole(merging: BaseEncoder, is_raw: bool) -> None:
    sample = render(Row("d", 1, (Turn("user", "abc"), Turn("assistant", "ab", learn=True)), is_raw), merging)

    assert sample.ids.tolist() == [3, 4, 3, 0]
    assert not sample.merged


@pytest.mark.parametrize("base", ["small", "tiny"])
def test_prompts_have_the_tokens_that_the_server_gives_the_model(base: str, tokenizer_folder: Path) -> None:
    folder = tokenizer_folder if base == "small" else locate_base("tiny", weights=False).folder
    row = chat(Turn("system", "Be kind."), Turn("user", "Dear  Ann,\n\n2 µ Ärger?\n"), SILENT, USER, ANSWER)

    assert prompt_ids(row, BaseEncoder(folder)) == _served(row, folder)


@pytest.mark.parametrize("name", TEMPLATES)
def test_training_serving_and_transformers_read_one_prompt(name: str, tmp_path: Path) -> None:
    tokenizer_with(TEMPLATES[name]).save_pretrained(tmp_path)
    thoughts = Turn("assistant", "<think>\n2 < 3\n</think>\n\nyes")
    row = chat(Turn("user", "why <tool_call> and\n<think>?"), thoughts, Turn("user", " <b>a</b> "), ANSWER)
    variables: dict[str, Any] = {"enable_thinking": False, "date_string": "1 May"}
    oracle: Any = PreTrainedTokenizerFast.from_pretrained(tmp_path).apply_chat_template
    messages = [{"role": turn.role, "content": turn.content} for turn in row.prompt]

    ids = prompt_ids(row, BaseEncoder(tmp_path, variables))

    assert ids == _served(row, tmp_path, variables)
    assert ids == oracle(messages, add_generation_prompt=True, **variables)["input_ids"]


def test_a_variable_changes_what_is_learnt_from(tmp_path: Path) -> None:
    tokenizer_with(TEMPLATES["thoughts_taken_apart"]).save_pretrained(tmp_path)
    row = chat(USER, ANSWER)
    (ids, muted) = (
        prompt_ids(row, BaseEncoder(tmp_path, variables)) for variables in ({}, {"enable_thinking": False})
    )

    assert BaseEncoder(tmp_path).tokenizer.decode(muted[len(ids) :]) == "<think>\n\n</think>\n\n"


@pytest.mark.parametrize(
    ("answer", "learns", "ends"),
    [
        ("{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}", "·yo<|im_end|>·yo<|im_end|>", True),
        ("{% generation %}{{ m.content }}{% endgeneration %}<|im_end|>", "·yo·yo·", False),
        ("!{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}", "·yo<|im_end|>·yo<|im_end|>", True),
        ("{{ m.content }}<|im_end|>", "·yo<|im_end|>·yo<|im_end|>", True),
    ],
)
def test_where_a_template_marks_its_answers_only_those_are_learnt(
    tokenizer_folder: Path, tmp_path: Path, answer: str, learns: str, ends: bool
) -> None:
    template = (
        "{%- for m in messages %}[{{ m.role }}]{%- if m.role == 'assistant' %}" + answer + "{%- else %}"
        "{{ m.content }}{%- endif %}{%- endfor %}{%- if add_generation_prompt %}[assistant]{%- endif %}"
    )
    encoder = with_template(tokenizer_folder, tmp_path, template)
    sample = render(chat(USER, ANSWER, USER, ANSWER), encoder)

    assert learnt(sample, encoder) == learns
    assert sample.ends is ends


@pytest.mark.parametrize("error", ["{{ 1 + 'a' }}", "{{ 1 // 0 }}"])
def test_a_template_that_fails_is_a_fault_of_the_rows_not_a_crash(
    tokenizer_folder: Path, tmp_path: Path, error: str
) -> None:
    encoder = with_template(tokenizer_folder, tmp_path, error)
    for turn_into_tokens in (render, prompt_ids):
        with pytest.raises(RenderFault, match="Error"):
            turn_into_tokens(chat(USER, ANSWER), encoder)


def _served(row: Row, folder: Path, variables: dict[str, Any] | None = None) -> list[int]:
    """The prompt as the server encodes it."""
    tokenizer: Tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    messages = plain_messages([(turn.role, turn.content) for turn in row.prompt])
    return list(PromptEncoder(tokenizer, 4096, 64).chat(Chat(messages, variables or {})))
