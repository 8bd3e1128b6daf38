"""Conditions over metrics, as people write them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.errors import InvalidArgument
from parfocal.registry.values import Comparison, MetricCondition


@pytest.mark.parametrize(
    ("text", "metric", "comparison", "number"),
    [
        ("f1>=0.9", "f1", ">=", 0.9),
        ("  f1 <= -1e-3 ", "f1", "<=", -0.001),
        ("f1/de>90%", "f1/de", ">", 0.9),
        ("f1<.5", "f1", "<", 0.5),
        ("f1==1", "f1", "=", 1),
        ("f1=1.", "f1", "=", 1),
        ("exact match!=+2", "exact match", "!=", 2),
        ('"a>b">3 %', "a>b", ">", 0.03),
    ],
)
def test_a_condition_is_read(text: str, metric: str, comparison: str, number: float) -> None:
    assert MetricCondition.parse(text) == MetricCondition(metric, Comparison(comparison), number)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "has the end at character 1, where a metric's name must stand"),
        (">=0.9", "has '>=0.9' at character 1, where a metric's name"),
        ('"">1', "at character 1, where a metric's name"),
        ('"f1>=0.9', "where a metric's name"),
        ("f1", "has the end at character 3, where one of >=, <=, >, <, = and !="),
        ("f1 ! 3", "has '! 3' at character 4, where one of"),
        ("f1>=", "has the end at character 5, where a number"),
        ("f1=>0.9", "has '>0.9' at character 4, where a number must stand, such as 0.9"),
        ("f1>= high", "has 'high' at character 6, where a number"),
        ("f1>=nan", "has 'nan' at character 5, where a number"),
        ("f1>=1e999", "has '1e999' at character 5, where a number below"),
        ("f1>=0.9 or f2>1", "has 'or f2>1' at character 9, where nothing more"),
        ("f1>=0.9\x1b[2J", r"has '\x1b[2J' at character 8"),
        ("f" * 301 + ">1", "has 301 characters; write 1 to 300"),
    ],
)
def test_what_is_no_condition_is_refused_where_it_is_wrong(text: str, says: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        MetricCondition.parse(text)
    assert says in str(refused.value)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_no_metric_is_compared_with_what_is_not_finite(number: float) -> None:
    with pytest.raises(InvalidArgument):
        MetricCondition("f1", Comparison.ABOVE, number)


@given(st.text(), st.floats(allow_nan=False, allow_infinity=False))
def test_any_text_is_a_condition_or_is_refused(text: str, number: float) -> None:
    for written in (text, f"f1>{text}", f"{text}>={number!r}"):
        try:
            condition = MetricCondition.parse(written)
        except InvalidArgument:
            continue
        assert condition.metric and math.isfinite(condition.number)


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(Comparison))
def test_a_number_is_read_as_python_writes_it(number: float, comparison: Comparison) -> None:
    assert MetricCondition.parse(f"x{comparison}{number!r}").number == number


def test_what_was_not_recorded_meets_no_condition() -> None:
    assert not MetricCondition.parse("f1!=1").holds({"f2": 3.0})
    assert MetricCondition.parse("f2!=1").holds({"f2": 3.0})
