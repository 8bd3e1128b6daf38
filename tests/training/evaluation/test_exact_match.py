"""Exact match: greedy, given just what serving would be given, spaces at the ends forgiven."""

from pathlib import Path

import pytest
import torch
from transformers import GenerationConfig, StoppingCriteriaList

from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.rendering import Sample, prompt_ids, render
from parfocal.training.data.rows import Row, Turn
from parfocal.training.evaluation.exact_match import exact_match


@pytest.fixture(scope="module")
def encoder(tokenizer_folder: Path) -> BaseEncoder:
    return BaseEncoder(tokenizer_folder)


def row(prompt: str, answer: str, raw: bool) -> Row:
    return Row("d", 1, (Turn("user", prompt), Turn("assistant", answer, learn=True)), raw)


class Writer:
    """Answers prompts from a book, as `generate` of a transformers model would."""

    def __init__(self, encoder: BaseEncoder, book: dict[str, str]) -> None:
        self.device = torch.device("cpu")
        self.settings: list[GenerationConfig] = []
        self._encoder = encoder
        self._book = book

    def generate(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        generation_config: GenerationConfig,
        stopping_criteria: StoppingCriteriaList,
    ) -> torch.Tensor:
        """Returns the prompts with their answers from the book, padded on the right."""
        self.settings.append(generation_config)
        answers = []
        for ids, mask in zip(input_ids, attention_mask, strict=True):
            assert mask.tolist() == sorted(mask.tolist()), "prompts are padded on the left"
            prompt = self._encoder.tokenizer.decode(ids[mask.bool()].tolist())
            answers.append(self._encoder.encode(self._book[str(prompt)] + "<|im_end|>", special=False))
        longest = max(map(len, answers))
        padded = [answer + [self._encoder.pad_id] * (longest - len(answer)) for answer in answers]
        return torch.cat([input_ids, torch.tensor(padded)], dim=1)


def samples(encoder: BaseEncoder, rows: list[Row]) -> list[Sample]:
    return [render(one, encoder) for one in rows]


@pytest.mark.parametrize("batch_size", [1, 2, 8])
def test_the_part_that_equals_is_counted(encoder: BaseEncoder, batch_size: int) -> None:
    rows = [row("a", "yes", True), row("bbb", " no ", True), row("cc", "maybe", True)]
    writer = Writer(encoder, {"a": "yes", "bbb": "no", "cc": "Maybe"})

    assert exact_match(writer, samples(encoder, rows), encoder, batch_size) == pytest.approx(2 / 3)


def test_chats_are_asked_as_serving_asks_them(encoder: BaseEncoder) -> None:
    one = row("hi", "yo", False)
    prompt = str(encoder.tokenizer.decode(prompt_ids(one, encoder)))
    writer = Writer(encoder, {prompt: "yo"})

    assert prompt.endswith("<|im_start|>assistant\n")
    assert exact_match(writer, samples(encoder, [one]), encoder, 4) == 1.0


def test_generation_is_greedy_stops_where_serving_stops_and_has_room(encoder: BaseEncoder) -> None:
    writer = Writer(encoder, {"a": "x" * 9})
    exact_match(writer, samples(encoder, [row("a", "x" * 9, True)]), encoder, 4)
    (settings,) = writer.settings

    assert settings.do_sample is False
    assert settings.eos_token_id == [2]
    assert settings.max_new_tokens is not None and settings.max_new_tokens > 10


def test_a_prompt_ids_list_is_that_of_the_text(encoder: BaseEncoder) -> None:
    assert prompt_ids(row("hi", "x", True), encoder) == encoder.encode("hi", special=True)
