"""The base's tokenizer: lossless on any text, alike on alike words."""

from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BatchEncoding

from tiny_base.export import export_tokenizer
from tiny_base.network import Shape
from tiny_base.tasks.corpus import documents
from tiny_base.tokenizer import END, PAD, START, special_id, train_tokenizer
from tiny_base.writing.source import Source


def _trained() -> Tokenizer:
    return train_tokenizer(islice(documents(Source("test")), 300), 512)


TOKENIZER = _trained()


@given(st.text())
def test_any_text_comes_back_unchanged(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False).ids
    spelt_specials = any(mark in text for mark in (PAD, START, END))
    assert spelt_specials or TOKENIZER.decode(ids, skip_special_tokens=False) == text


@pytest.mark.parametrize("name", ["Anna Fischer", "Zoxibrand", "KT-48213"])
def test_a_name_has_the_same_pieces_in_prose_and_in_json(name: str) -> None:
    def pieces(text: str) -> list[str]:
        return [TOKENIZER.decode([number]) for number in TOKENIZER.encode(text).ids]

    alone = pieces(name)
    for surrounding in (f"I am {name}.", f'{{"customer": "{name}", "x": 1}}', f"Thanks,\n{name}"):
        found = pieces(surrounding)
        assert any(found[start : start + len(alone)] == alone for start in range(len(found)))


def test_the_special_tokens_are_the_first_three_and_never_split() -> None:
    assert [special_id(TOKENIZER, token) for token in (PAD, START, END)] == [0, 1, 2]
    assert TOKENIZER.encode(f"{START}user{END}").tokens[0] == START


def test_a_token_that_is_not_there_is_named() -> None:
    with pytest.raises(KeyError, match="nothing"):
        special_id(TOKENIZER, "<|nothing|>")


def test_too_few_documents_for_the_vocabulary_are_refused() -> None:
    with pytest.raises(ValueError, match="give more"):
        train_tokenizer(islice(documents(Source("test")), 2), 4096)


def test_transformers_reads_the_exported_tokenizer_and_its_chat_template(tmp_path: Path) -> None:
    export_tokenizer(TOKENIZER, Shape(vocabulary=512, context=128), tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    chat = [{"role": "user", "content": "Hi"}]
    text = read.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert text == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert read(text).input_ids == TOKENIZER.encode(text).ids
    assert (read.pad_token, read.eos_token, read.model_max_length) == (PAD, END, 128)
    assert read.decode(read(f"{START}Hi{END}").input_ids, skip_special_tokens=True) == "Hi"


def test_the_chat_template_marks_what_the_assistant_says(tmp_path: Path) -> None:
    export_tokenizer(TOKENIZER, Shape(vocabulary=512, context=128), tmp_path)
    read = AutoTokenizer.from_pretrained(tmp_path)
    chat = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Yes."}]
    marked = read.apply_chat_template(chat, return_dict=True, return_assistant_tokens_mask=True)
    assert isinstance(marked, BatchEncoding)
    spoken = [n for n, on in zip(marked["input_ids"], marked["assistant_masks"], strict=True) if on]
    assert read.decode(spoken) == f"Yes.{END}"
