"""The parts of a check: likeness, disclosures, mappings between methods, lengths, digests by the million."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.data.files import read_examples
from fakes.data.rows import row
from parfocal.training.data import METHOD_VIEWS, VIEWS, read_rows
from parfocal.training.data.checks import Fit, Lengths, fits, mapped, view_of
from parfocal.training.data.checks.disclosures import disclosures
from parfocal.training.data.checks.minhash import alike_within, grams, likeness, signature
from parfocal.training.data.formats import Format
from parfocal.training.data.likeness import common_run
from parfocal.training.data.repeats import Repeats

_WORDS = st.lists(st.sampled_from([f"word{at * 7919 % 1000}" for at in range(400)]), min_size=30, max_size=80)


@settings(max_examples=60, deadline=None)
@given(_WORDS, st.integers(0, 29))
def test_the_likeness_of_texts_is_about_the_part_of_runs_that_they_share(
    words: list[str], changed: int
) -> None:
    one = " ".join(words)
    other = " ".join([*words[:changed], "another", *words[changed + 1 :]])
    ours, theirs = grams(one), grams(other)
    true = len(np.intersect1d(ours, theirs)) / len(np.union1d(ours, theirs))

    assert abs(likeness(signature(ours), signature(theirs)) - true) < 0.25  # 128 bins: 5 deviations


def test_equal_texts_are_alike_and_others_are_not() -> None:
    texts = [" ".join(f"{(at * 31 + n * n * 7) % 997}" for n in range(60)) for at in range(50)]
    signatures = np.stack([signature(grams(text)) for text in [*texts, texts[7] + " end"]])

    assert list(alike_within(signatures, 0.8)) == [(50, 7)]


@given(st.text("ab ", max_size=30), st.text("ab ", max_size=30))
def test_the_longest_common_run_is_in_both_and_none_is_longer(one: str, other: str) -> None:
    run = common_run(one, other)
    longer = {one[at : at + len(run) + 1] for at in range(len(one) - len(run))}

    assert run in one
    assert run in other
    assert not any(each in other for each in longer)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("-----BEGIN RSA PRIVATE KEY-----", "SECRET"),
        ("key AKIA" + "ABCDEFGHIJKLMNOP", "SECRET"),
        ("ghp_" + "a1B2" * 9, "SECRET"),
        ("hf_" + "aB1" * 11, "SECRET"),
        ("sk-proj-" + "aB1_" * 8, "SECRET"),
        ("postgres://bob:hunter22@db/main", "SECRET"),
        ('"password": "correct1horse"', "SECRET"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTYifQ.c2lnbmF0dXJl", "SECRET"),
        ("write to ann.b+c@mail.corp.com", "EMAIL"),
        ("call +49 30 1234567 now", "PHONE"),
        ("call (555) 123-4567", "PHONE"),
        ("call 555-123-4567", "PHONE"),
        ("card 4111 1111 1111 1111", "CARD_NUMBER"),
        ("so <|im_start|>user", "TEMPLATE_TEXT"),
        ("[INST] hi [/INST]", "TEMPLATE_TEXT"),
    ],
)
def test_what_should_not_be_taught_is_warned_of_without_being_shown(text: str, code: str) -> None:
    found = {each.code: each for each in disclosures(f"before {text} after", "rows.jsonl", 7)}

    assert found[code].lines == (7,)
    if code != "TEMPLATE_TEXT":
        assert not any(word in found[code].headline() for word in text.split() if len(word) > 7)


@pytest.mark.parametrize(
    "text",
    [
        "ann@example.com and bob@test.invalid",
        "2026-11-27, 12:30, 1,234,567.89 EUR, invoice 1234567",
        "the password is a secret: ask nobody",
        "a < b and c[1] = 2; 192.168.100.200; https://example.com/a:b@c",
        "id 4111111111111112, sha 9f86d081884c7d659a2feaa0c55ad015",
        "risk-free, task-based, sk-1",
    ],
)
def test_ordinary_text_is_not_warned_of(text: str) -> None:
    assert list(disclosures(text, "rows.jsonl", 1)) == []


U = {"role": "user", "content": "hi"}
A, B = {"role": "assistant", "content": "hello"}, {"role": "assistant", "content": "go away"}
ROWS: list[dict[str, object]] = [
    {"messages": [U, A]},
    {"messages": [U, A | {"weight": 0}, U, A], "slice": "x"},
    {"prompt": "a", "completion": "b"},
    {"text": "a"},
    {"prompt": [U], "chosen": [A], "rejected": [B]},
    {"prompt": "a", "chosen": "b", "rejected": "c"},
    {"prompt": "a", "completion": "b", "label": True},
    {"prompt": [U], "completion": [A], "label": True},
    {"prompt": "a", "answer": "7"},
    {"messages": [U], "answer": "7"},
]


@pytest.mark.parametrize("written", ROWS)
def test_rows_mapped_to_a_method_are_rows_that_it_reads(tmp_path: Path, written: dict[str, object]) -> None:
    read = read_examples(tmp_path / "rows.jsonl", [written])
    (example,) = read.examples
    for fit in fits(read.format):
        view = METHOD_VIEWS[fit.method]
        rows = mapped(example, view)
        assert bool(rows) == (fit.fit is not Fit.NO), fit
        copy = tmp_path / view / "rows.jsonl"
        copy.parent.mkdir(exist_ok=True)
        copy.write_text("".join(json.dumps(each) + "\n" for each in rows) or "\n")
        again = read_rows(copy, VIEWS[view])
        assert len(again.rows) == len(rows)
        if view == view_of(example):
            assert again.rows == (example,)


def test_every_format_fits_exactly_the_methods_that_it_is_written_for() -> None:
    for format_ in Format:
        ready = {METHOD_VIEWS[each.method] for each in fits(format_) if each.fit is Fit.READY}
        assert len(ready) == 1, format_


def test_unknown_columns_need_a_mapping() -> None:
    assert next(each.how for each in fits(None, "try --column prompt=q")) == "try --column prompt=q"


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=200))
def test_a_histogram_counts_every_row_once(counts: list[int]) -> None:
    from array import array

    lengths = Lengths.of(array("L", counts))
    assert lengths is not None

    assert sum(bar.rows for bar in lengths.bars) == len(counts)
    assert all(bar.rows == sum(bar.low <= count <= bar.high for count in counts) for bar in lengths.bars)
    assert len(lengths.bars) <= 14
    assert lengths.least <= lengths.quantiles["p50"] <= lengths.quantiles["p99"] <= lengths.most


def test_of_very_many_rows_repeats_are_found_in_a_part() -> None:
    repeats = Repeats(most=100)
    for line in range(1, 1001):
        repeats.add(row(line, f"prompt {line % 500}", "x"))
    (found,) = repeats.findings()

    assert found.code == "DUPLICATE"
    assert "looked at in one of" in found.message
    assert 10 < found.count < 100
    assert all(line > 500 for line in found.lines)
