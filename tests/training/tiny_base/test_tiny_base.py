"""The base that ships with the package: loads, adapts in 4 bits, and is as good as its card says."""

import json
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM, PreTrainedTokenizerBase

from parfocal.registry.bases.files import locate_base
from parfocal.training.examples import Job, office_memos, support_emails, support_tickets
from tiny_base.encoding import Encoder
from tiny_base.export import load_weights
from tiny_base.network import Network, Shape
from tiny_base.probes import measure
from tiny_base.tasks.extraction import extract_by_form
from tiny_base.writing.source import Source

FOLDER = locate_base("tiny", weights=True).folder
REPORT = json.loads((FOLDER / "pretraining.json").read_text())
TOKENIZER: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(FOLDER)


def test_the_base_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 12 * 1024**2


def test_every_linear_layer_fits_blocks_of_64() -> None:
    model = AutoModelForCausalLM.from_pretrained(FOLDER)
    linears = [module for module in model.modules() if isinstance(module, torch.nn.Linear)]
    assert linears
    assert all(size % 64 == 0 for linear in linears for size in (linear.in_features, linear.out_features))


def test_the_held_out_loss_of_the_card_can_be_measured_again() -> None:
    network = Network(Shape(**REPORT["settings"]["shape"]), seed=0)
    load_weights(network, FOLDER)
    encoder = Encoder(Tokenizer.from_file(str(FOLDER / "tokenizer.json")))
    measured = measure(network, encoder, REPORT["settings"]["probe_documents"], held_out=True)["all"].loss
    # Recorded before the weights were rounded to bf16 for storage.
    assert measured == pytest.approx(REPORT["held_out"]["all"]["loss"], abs=0.02)
    assert f"**{REPORT['held_out']['all']['loss']:.3f}**" in (FOLDER / "README.md").read_text()


@pytest.mark.parametrize("job", [support_emails, office_memos, support_tickets])
def test_the_base_alone_does_not_know_the_jobs_of_the_examples(job: Job) -> None:
    rows = list(job(6, seed=8))
    answers = [_answer(row["prompt"], row["completion"]) for row in rows]
    assert all(answers)
    assert not [row for row, answer in zip(rows, answers, strict=True) if answer == row["completion"]]


def test_the_base_fills_in_most_forms_when_asked() -> None:
    source = Source("shipped")
    forms = [extract_by_form(source).turns for _ in range(8)]
    right = [_answer(asked.content, answered.content) == answered.content for asked, answered in forms]
    assert sum(right) >= 4


@given(st.text())
def test_the_shipped_tokenizer_loses_nothing(text: str) -> None:
    ids = TOKENIZER.encode(text, add_special_tokens=False)
    assert TOKENIZER.decode(ids) == text or "<|" in text


def test_an_answer_ends_with_the_end_token_of_the_template() -> None:
    assert _prompt("Hi") == "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    assert TOKENIZER.eos_token == "<|im_end|>"


@cache
def _model() -> LlamaForCausalLM:
    return LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32)


def _prompt(message: str) -> str:
    chat = [{"role": "user", "content": message}]
    return str(TOKENIZER.apply_chat_template(chat, add_generation_prompt=True, tokenize=False))


def _answer(message: str, right: str) -> str:
    """Returns the base's answer as far as it takes to tell it from the right one."""
    prompt = TOKENIZER(_prompt(message), return_tensors="pt").input_ids
    most = len(TOKENIZER(right).input_ids) + 8
    given = {"input_ids": prompt, "attention_mask": torch.ones_like(prompt), "max_new_tokens": most}
    produced = _model().generate(**given)  # type: ignore[misc]
    return str(TOKENIZER.decode(produced[0, prompt.shape[1] :], skip_special_tokens=True))
