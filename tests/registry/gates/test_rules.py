"""What each rule finds of what is recorded, and that nothing passes by accident."""

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import BaseContract, Evaluation
from parfocal.registry.errors import InvalidGate
from parfocal.registry.gates import (
    MAX_RULES,
    BelowBase,
    Bound,
    Evidence,
    Gate,
    NotAboveCurrent,
    Outcome,
    Passage,
    Rule,
    SameBase,
    Side,
    SignedBy,
    Subject,
)
from parfocal.registry.values import BaseShape, Quantisation
from parfocal.registry.wire import read_rules, read_verdict, rule_messages, verdict_message

ROWS = "sha256:" + "1" * 64
BASE = BaseContract(
    "org/base", "abc", "sha256:" + "2" * 64, Quantisation(), "sha256:" + "3" * 64, None, verified=True
)
numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)
words = st.text(st.characters(codec="utf-8", categories=["L", "N"]), min_size=1, max_size=20)
slices = st.one_of(st.just(""), st.just("*"), words)
rules: st.SearchStrategy[Rule] = st.one_of(
    st.builds(BelowBase, numbers, slices),
    st.builds(NotAboveCurrent, numbers, slices),
    st.builds(Bound, words, st.sampled_from(Side), numbers, slices, st.booleans()),
    st.builds(SignedBy, st.lists(words, min_size=1, max_size=4).map(tuple)),
    st.builds(
        SameBase,
        st.sampled_from([BASE, replace(BASE, shape=BaseShape(1, 2, 3, 4, 5, 6)), replace(BASE, scheme=2)]),
    ),
)
gates = st.lists(rules, min_size=1, max_size=6, unique=True).map(lambda found: Gate(tuple(found)))
metrics = st.dictionaries(
    st.sampled_from(
        [
            f"{name}{part}"
            for name in ("adapter_loss", "base_loss", "loss_gain_low", "score", "score_low", "score_high")
            for part in ("", "/de", "/en")
        ]
    ),
    numbers,
)


def subject(version: int = 2, rows: str = ROWS, **recorded: float) -> Subject:
    return Subject(version, Evaluation(rows, 10, recorded), BASE)


def measured(recorded: Mapping[str, float], version: int = 2) -> Subject:
    return Subject(version, Evaluation(ROWS, 10, recorded), BASE)


def found(rule: Rule, candidate: Subject, current: Subject | None = None) -> Evidence:
    [evidence] = Gate((rule,)).judge(candidate, current).evidence
    return evidence


@given(gates)
def test_a_gate_is_read_as_it_is_kept_and_as_it_travels(gate: Gate) -> None:
    assert Gate.parse(gate.to_text()) == gate
    assert Gate.parse(gate.to_text()).to_text() == gate.to_text()
    assert read_rules(rule_messages(gate)) == gate


@given(gates, metrics, st.none() | metrics)
def test_a_verdict_says_how_far_each_rule_is_missed_and_is_kept_as_it_is(
    gate: Gate, mine: dict[str, float], theirs: dict[str, float] | None
) -> None:
    current = None if theirs is None else measured(theirs, 1)
    verdict = gate.judge(measured(mine), current)

    assert len(verdict.evidence) == len(gate.rules)
    assert verdict.passed == all(each.passed for each in verdict.evidence)
    for each in verdict.evidence:
        assert each.short_by is None or (not each.passed and each.short_by >= 0)
    assert read_verdict(verdict_message(verdict)) == verdict
    passage = Passage(Outcome.OVERRIDDEN, verdict.evidence, "why")
    assert Passage.parse(passage.to_text()) == passage


@given(gates, st.booleans())
def test_what_nothing_is_recorded_of_passes_no_rule_but_that_of_its_base(gate: Gate, moved: bool) -> None:
    current = subject(1, adapter_loss=1.0) if moved else None
    for rule, each in zip(gate.rules, gate.judge(Subject(2, None, BASE), current).evidence, strict=True):
        vacuous = isinstance(rule, NotAboveCurrent) and current is None
        assert each.passed is (vacuous or (isinstance(rule, SameBase) and each.passed))
        assert each.short_by is None


@given(numbers, numbers, numbers)
def test_a_bound_is_met_exactly_on_its_side(value: float, low: float, limit: float) -> None:
    at_least = Bound("score", Side.AT_LEAST, limit)
    at_most = Bound("score", Side.AT_MOST, limit)

    assert found(at_least, subject(score=value)).passed == (limit - value <= 1e-12)
    assert found(at_most, subject(score=value)).passed == (value - limit <= 1e-12)
    worst = min(value, low)
    assert found(at_least, subject(score=value, score_low=low)).passed == (limit - worst <= 1e-12)


@given(st.dictionaries(words, numbers, min_size=1, max_size=5), numbers)
def test_a_rule_of_every_slice_is_as_strict_as_the_rules_of_each(
    scores: dict[str, float], limit: float
) -> None:
    candidate = measured({f"score/{name}": value for name, value in scores.items()})
    each = [found(Bound("score", Side.AT_LEAST, limit, name), candidate) for name in scores]
    every = found(Bound("score", Side.AT_LEAST, limit, "*"), candidate)

    assert every.passed == all(one.passed for one in each)
    assert every.short_by == max((one.short_by for one in each if one.short_by is not None), default=None)


@pytest.mark.parametrize(
    ("rule", "recorded", "passed", "words"),
    [
        (BelowBase(), {"adapter_loss": 1.5, "base_loss": 2.0}, True, "1.5 against 2 of the base"),
        (BelowBase(), {"adapter_loss": 2.0, "base_loss": 2.0}, False, "short by 0"),
        (BelowBase(0.3), {"adapter_loss": 1.8, "base_loss": 2.0}, False, "short by 0.1"),
        (
            BelowBase(),
            {"adapter_loss": 1.8, "base_loss": 2.0, "loss_gain_low": -0.05},
            False,
            "per row lower by at least -0.05, short by 0.05",
        ),
        (BelowBase(), {"adapter_loss": 1.8}, False, "base_loss is not recorded"),
        (BelowBase(slice="de"), {"adapter_loss": 1.8, "base_loss": 2.0}, False, "is not recorded"),
        (
            BelowBase(slice="*"),
            {"adapter_loss/de": 2.1, "base_loss/de": 2.0, "adapter_loss/en": 1.0, "base_loss/en": 2.0},
            False,
            "slice de, the worst of 2: 2.1 against 2 of the base, short by 0.1",
        ),
        (BelowBase(slice="*"), {"adapter_loss": 1.0, "base_loss": 2.0}, False, "no slice of adapter_loss"),
        (Bound("score", Side.AT_LEAST, 0.9), {"score": 0.9}, True, "score at least 0.9: 0.9"),
        (Bound("score", Side.AT_LEAST, 0.9), {"score": 0.85}, False, "0.85, short by 0.05"),
        (
            Bound("score", Side.AT_LEAST, 0.9),
            {"score": 0.95, "score_low": 0.88},
            False,
            "0.95, perhaps only 0.88, short by 0.02",
        ),
        (
            Bound("score", Side.AT_LEAST, 0.9, interval=True),
            {"score": 0.95},
            False,
            "its interval is not recorded",
        ),
        (Bound("forgetting", Side.AT_MOST, 0.02), {"forgetting": 0.01}, True, "0.01"),
        (
            Bound("forgetting", Side.AT_MOST, 0.02),
            {"forgetting": 0.01, "forgetting_high": 0.03},
            False,
            "0.01, perhaps 0.03, short by 0.01",
        ),
        (Bound("score", Side.AT_LEAST, 0.9), {"other": 1.0}, False, "it is not recorded"),
    ],
)
def test_a_rule_says_what_it_found_and_by_how_much_it_is_missed(
    rule: Rule, recorded: dict[str, float], passed: bool, words: str
) -> None:
    evidence = found(rule, measured(recorded))
    assert evidence.passed is passed
    assert words in str(evidence)


@pytest.mark.parametrize(
    ("mine", "theirs", "margin", "passed", "words"),
    [
        (1.9, 1.88, 0.02, True, "1.9 against 1.88 of version 1"),
        (1.9, 1.88, 0.01, False, "short by 0.01"),
        (1.88, 1.88, 0.0, True, ""),
        (1.88, 1.88, -0.1, False, "short by 0.1"),
    ],
)
def test_a_loss_may_be_above_the_current_versions_by_the_margin(
    mine: float, theirs: float, margin: float, passed: bool, words: str
) -> None:
    evidence = found(NotAboveCurrent(margin), subject(adapter_loss=mine), subject(1, adapter_loss=theirs))
    assert evidence.passed is passed
    assert words in str(evidence)


@pytest.mark.parametrize(
    ("current", "words"),
    [
        (subject(1, rows="sha256:other", adapter_loss=9.0), "on other rows than version 1"),
        (subject(1, rows="", adapter_loss=9.0), "on other rows than version 1"),
        (Subject(1), "no evaluation of version 1 is recorded"),
        (subject(1, score=1.0), "adapter_loss of version 1 is not recorded"),
        (Subject(1, fault="rotten"), "version 1, where the alias points, cannot be read"),
    ],
)
def test_what_cannot_be_compared_is_not_better(current: Subject, words: str) -> None:
    evidence = found(NotAboveCurrent(), subject(adapter_loss=1.0), current)
    assert not evidence.passed
    assert words in evidence.found


def test_a_slice_that_only_the_current_version_was_measured_on_is_missed() -> None:
    current = measured({"adapter_loss/de": 2.0, "adapter_loss/en": 2.0}, 1)
    evidence = found(NotAboveCurrent(slice="*"), measured({"adapter_loss/de": 1.0}), current)
    assert not evidence.passed
    assert "slice en" in evidence.found


def test_the_first_version_of_an_alias_is_not_above_anything() -> None:
    assert found(NotAboveCurrent(), subject(adapter_loss=9.0)).passed


def test_another_base_is_told_by_the_field_that_differs() -> None:
    assert found(SameBase(BASE), subject()).passed
    other = replace(BASE, config_digest="sha256:" + "9" * 64)
    evidence = found(SameBase(other), subject())
    assert not evidence.passed
    assert evidence.found.startswith("base.config_digest: expected sha256:9999")


@pytest.mark.parametrize(
    ("signers", "passed", "words"),
    [
        (None, False, "verifies no signatures"),
        ({}, False, "not signed"),
        ({"1": "eve"}, False, "signed by eve only"),
        ({"1": "eve", "2": "ben"}, True, "signed by ben"),
        ({"3": "cy"}, True, "signed by cy"),
    ],
)
def test_one_of_the_keys_must_have_signed(signers: dict[str, str] | None, passed: bool, words: str) -> None:
    evidence = found(SignedBy(("ann", "ben", "3")), replace(subject(), signers=signers))
    assert (evidence.passed, words in evidence.found) == (passed, True)


def test_what_cannot_be_read_passes_nothing() -> None:
    for rule in (BelowBase(), NotAboveCurrent(), Bound("x", Side.AT_MOST, 1.0), SameBase(BASE)):
        assert not found(rule, Subject(2, fault="rotten")).passed


def test_what_is_missed_by_more_than_any_number_is_kept_without_one() -> None:
    huge = subject(adapter_loss=1.7e308, base_loss=-1.7e308)
    evidence = found(BelowBase(), huge)
    assert (evidence.passed, evidence.short_by) == (False, None)
    passage = Passage(Outcome.OVERRIDDEN, (evidence,), "why")
    assert Passage.parse(passage.to_text()) == passage


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_limit_is_a_number(value: float) -> None:
    with pytest.raises(InvalidGate, match="not a finite number"):
        Bound("score", Side.AT_LEAST, value)
    with pytest.raises(InvalidGate, match="not a finite number"):
        BelowBase(value)


@pytest.mark.parametrize("metric", ["", "a\nb", "x" * 301, "a/b"])
def test_a_metric_is_a_word_without_a_slice(metric: str) -> None:
    with pytest.raises(InvalidGate):
        Bound(metric, Side.AT_LEAST, 1.0)


def test_a_gate_has_some_rules_each_once_and_not_too_many() -> None:
    with pytest.raises(InvalidGate, match="0 rules"):
        Gate(())
    with pytest.raises(InvalidGate, match="twice"):
        Gate((BelowBase(), BelowBase(0.0)))
    with pytest.raises(InvalidGate, match=f"1 to {MAX_RULES}"):
        Gate(tuple(BelowBase(float(number)) for number in range(MAX_RULES + 1)))
    with pytest.raises(InvalidGate, match="bytes"):
        Gate((SignedBy(tuple("k" * 290 + f"{number:03}" for number in range(32))), *_wide(31)))
    with pytest.raises(InvalidGate, match="0 keys"):
        SignedBy(())


def _wide(count: int) -> list[Rule]:
    return [Bound("m" * 290 + f"{number:03}", Side.AT_MOST, 1.0, "s" * 300) for number in range(count)]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"rules":[]}',
        '{"rules":[{"rule":"later"}]}',
        '{"rules":[{"margin":0,"rule":"below_base"}]}',
        '{"rules":[{"margin":0,"more":1,"rule":"below_base","slice":""}]}',
        '{"rules":[{"interval":false,"limit":1,"metric":"x","rule":"bound","side":"above","slice":""}]}',
    ],
)
def test_what_is_no_gate_or_a_later_one_is_not_half_understood(text: str) -> None:
    with pytest.raises(InvalidGate):
        Gate.parse(text)


@pytest.mark.parametrize(
    "text", ["", "{}", '{"evidence":[],"outcome":"waved","reason":""}', '{"evidence":[]}', "\ud800"]
)
def test_what_is_no_passage_is_refused(text: str) -> None:
    with pytest.raises(InvalidGate):
        Passage.parse(text)
