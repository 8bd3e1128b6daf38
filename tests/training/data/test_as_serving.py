"""Training reads a base as serving does: the same tokenizer, the same end of an answer."""

import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from oracle.bases import byte_tokenizer, configurations, write_base
from parfocal.engine import EngineConfig
from parfocal.engine.loading.base import load_base
from parfocal.training.data import MASKED, BaseEncoder
from parfocal.training.data.rendering import render
from parfocal.training.data.rows import Row, Turn

CHAT = Row("rows", 1, (Turn("user", "hi"), Turn("assistant", "ho", learn=True)), raw=False)
(NEWLINE,) = byte_tokenizer()("\n")["input_ids"]  # what the template writes after each message
EOS = 257


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = write_base(tmp_path / "base", configurations()["llama"])
    (folder / "generation_config.json").unlink()
    return folder


def ending_at(folder: Path, holder: str, ids: list[int]) -> Path:
    path = folder / holder
    fields = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**fields, "eos_token_id": ids}))
    return folder


@pytest.mark.parametrize("holder", ["config.json", "generation_config.json"])
def test_one_set_of_end_tokens_on_both_sides(base: Path, holder: str) -> None:
    ending_at(base, holder, [EOS, NEWLINE])

    served = load_base(base, EngineConfig(device="cpu", dtype="float32")).info.eos_ids

    assert set(served) == BaseEncoder(base).end_ids == {EOS, NEWLINE}


def test_an_answer_is_learnt_through_a_stop_that_only_the_configuration_names(base: Path) -> None:
    sample = render(CHAT, BaseEncoder(ending_at(base, "config.json", [EOS, NEWLINE])))

    assert sample.ends
    assert [label for label in sample.labels if label != MASKED][-1] == NEWLINE


def test_an_answer_without_any_stop_is_still_warned_of(base: Path) -> None:
    assert not render(CHAT, BaseEncoder(ending_at(base, "config.json", [EOS]))).ends


@pytest.mark.parametrize("kind", configurations())
def test_training_reads_a_tokenizer_with_the_class_that_serving_does(tmp_path: Path, kind: str) -> None:
    folder = write_base(tmp_path / "base", configurations()[kind])

    served, trained = AutoTokenizer.from_pretrained(folder), BaseEncoder(folder).tokenizer

    assert trained("Don't \n\n  stop é")["input_ids"] == served("Don't \n\n  stop é")["input_ids"]
    assert type(trained).__name__ == type(served).__name__
