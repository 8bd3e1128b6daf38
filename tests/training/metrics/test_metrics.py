"""What each metric makes of answers."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.training.errors import InvalidConfig, MetricFailed
from parfocal.training.metrics import Answer, metric_named, rouge_l, rouge_n

WORDS = st.lists(st.sampled_from("abcd"), max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)


def means(metric: str, *answers: tuple[str, str]) -> dict[str, list[float]]:
    found = metric_named(metric).scores([Answer("p", written, true) for written, true in answers])
    return {name: list(scores) for name, scores in found.means.items()}


def test_exact_match_forgives_outer_spaces_and_nothing_else() -> None:
    found = means("exact", (" yes\n", "yes"), ("Yes", "yes"), ("yes.", "yes"))

    assert found == {"exact_match": [1, 0, 0]}


def test_a_pattern_must_match_the_whole_answer() -> None:
    assert means(r"regex=\d+ euros", ("12 euros", ""), ("about 12 euros", "")) == {"regex_match": [1, 0]}


def test_json_answers_are_judged_as_json_and_field_by_field() -> None:
    found = means(
        "json",
        ('{"eur": 7, "who": {"name": "Ann"}}', '{"who": {"name": "Ann"}, "eur": 7}'),
        ('{"eur": 8, "who": {"name": "Ann"}}', '{"eur": 7, "who": {"name": "Ann"}}'),
        ('{"eur": 7', '{"eur": 7}'),
        ('{"eur": true}', '{"eur": 1}'),
    )

    assert found["json_valid"] == [1, 1, 0, 1]
    assert found["json_exact"] == [1, 0, 0, 0]
    assert found["json_f1"] == [1, 0.5, 0, 0]
    assert found["json_f1.eur"] == [1, 0, 0, 0]
    assert found["json_f1.who.name"] == [1, 1, 1, 1]


@given(VALUES)
def test_json_that_equals_is_right_however_it_is_written(value: object) -> None:
    found = means("json", (json.dumps(value, indent=3), json.dumps(value)))

    assert all(scores == [1] for scores in found.values())


def test_a_schema_says_what_is_valid(tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "required": ["eur"], "properties": {"eur": {"type": "integer"}}}')
    found = means(f"json={schema}", ('{"eur": 7}', "{}"), ('{"eur": "7"}', "{}"), ("{}", "{}"))

    assert found["json_valid"] == [1, 0, 0]


@pytest.mark.parametrize("content", ['{"type": "objekt"}', "{", None])
def test_a_file_that_is_no_schema_is_refused(tmp_path: Path, content: str | None) -> None:
    schema = tmp_path / "schema.json"
    if content is not None:
        schema.write_text(content)

    with pytest.raises(InvalidConfig, match=r"schema\.json"):
        metric_named(f"json={schema}")


def test_labels_are_counted_each_alike_however_rare() -> None:
    """Two of three of `a` are found and one claim of `b` is wrong: F1 of 4/5 and 2/3."""
    answers = [
        Answer("", written, true) for written, true in (("A ", "a"), ("a", "a"), ("b", "a"), ("b", "b"))
    ]
    found = metric_named("label").scores(answers)

    assert list(found.means["label_accuracy"]) == [1, 1, 0, 1]
    assert found.wholes["label_f1"](np.ones(4)) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found.wholes["label_f1"](np.array([1.0, 0, 2, 0])) == pytest.approx(0.5)


def test_rouge_is_that_of_its_paper() -> None:
    """Lin 2004, section 3: police killed the gunman; police kill the gunman; the gunman kill police."""
    true = ["police", "killed", "the", "gunman"]

    assert rouge_l(["police", "kill", "the", "gunman"], true) == pytest.approx(0.75)
    assert rouge_l(["the", "gunman", "kill", "police"], true) == pytest.approx(0.5)
    assert rouge_n(["police", "kill", "the", "gunman"], true, 2) == pytest.approx(1 / 3)


@given(WORDS, WORDS)
def test_rouge_is_from_0_to_1_symmetric_and_1_for_the_same(one: list[str], other: list[str]) -> None:
    for found, back in (
        (rouge_l(one, other), rouge_l(other, one)),
        (rouge_n(one, other, 2), rouge_n(other, one, 2)),
    ):
        assert 0 <= found <= 1
        assert found == pytest.approx(back)
    assert rouge_l(one, one) == 1


def test_a_function_of_ones_own_is_a_metric(own_metrics: None) -> None:
    assert means("own_metrics:shorter", ("a", "bb"), ("ccc", "bb")) == {"shorter": [1, 0]}


@pytest.fixture
def own_metrics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_metrics.py").write_text(
        "def shorter(prompt, written, true): return len(written) < len(true)\n"
        "def broken(prompt, written, true): raise KeyError(written)\n"
        "def leaves(prompt, written, true): raise SystemExit(0)\n"
        "def nothing(prompt, written, true): return float('nan')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("broken", "raised KeyError on answer 1"),
        ("leaves", "raised SystemExit on answer 1"),
        ("nothing", "returned nan"),
    ],
)
def test_a_function_that_gives_no_number_is_an_error_and_no_score(
    own_metrics: None, name: str, said: str
) -> None:
    with pytest.raises(MetricFailed, match=said):
        means(f"own_metrics:{name}", ("a", "b"))


@pytest.mark.parametrize(
    "word",
    ["", "bleu", "exact=1", "regex=", "regex=(", "judge=localhost", "no_such:thing", "json:dumpz", ":", "a:"],
)
def test_what_is_no_metric_is_refused_with_those_that_are(word: str) -> None:
    with pytest.raises(InvalidConfig, match="metric"):
        metric_named(word)
