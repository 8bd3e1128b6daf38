"""Canonical JSON: one form per value, one value per form."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.values.canonical_json import JSON, InvalidJson, dumps, loads, most_values, normalised

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
VALUES: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 63) - 1) | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(VALUES)
def test_a_value_reads_back_as_it_is_written(value: JSON) -> None:
    assert loads(dumps(value)) == value
    assert dumps(loads(dumps(value))) == dumps(value)


@given(VALUES)
def test_the_bytes_do_not_depend_on_the_order_of_keys(value: JSON) -> None:
    def backwards(item: JSON) -> JSON:
        if isinstance(item, dict):
            return {key: backwards(item[key]) for key in reversed(list(item))}
        return [backwards(part) for part in item] if isinstance(item, list) else item

    assert dumps(backwards(value)) == dumps(value)


@given(VALUES)
def test_any_json_reader_reads_it(value: JSON) -> None:
    assert json.loads(dumps(value)) == value


@pytest.mark.parametrize("value", [math.nan, math.inf, 1 << 64, "\ud800", {"a": math.nan}, [[-math.inf]]])
def test_what_json_cannot_hold_is_not_written(value: JSON) -> None:
    with pytest.raises(InvalidJson):
        dumps(value)


def test_an_object_of_another_type_is_not_written() -> None:
    with pytest.raises(InvalidJson, match="a set has no JSON form"):
        dumps({"x": {1, 2}})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b'{"a":1,"a":2}', "twice"),
        (b"NaN", "not JSON"),
        (b"-Infinity", "not JSON"),
        (b"1e999", "not a number"),
        (b"\xff", "UTF-8"),
        (b"{", "line 1"),
        (b"[" * 100_000, "deep"),
        (b"[" * 66 + b"]" * 66, "deep"),
        (b"9" * 5000, "digits"),
        (b"", "line 1"),
    ],
)
def test_loose_json_is_not_read(data: bytes, why: str) -> None:
    with pytest.raises(InvalidJson, match=why):
        loads(data)


@given(st.binary(max_size=60))
def test_any_bytes_are_either_a_value_or_refused(data: bytes) -> None:
    try:
        value = loads(data)
    except InvalidJson:
        return
    assert normalised(value) == value


def count(value: JSON) -> int:
    if isinstance(value, dict):
        return 1 + sum(map(count, value.values()))
    return 1 + sum(map(count, value)) if isinstance(value, list) else 1


@given(VALUES)
def test_the_number_of_values_is_never_more_than_was_counted_before_reading(value: JSON) -> None:
    assert count(value) <= most_values(dumps(value))
    assert loads(dumps(value), max_values=most_values(dumps(value))) == value


def test_what_could_hold_too_many_values_is_refused_before_it_is_read() -> None:
    for text in (b"[" + b"[]," * 600_000, b"[" + b"0," * 1_000_001, b"{" * 1_000_001):
        with pytest.raises(InvalidJson, match="more than 1000000 values"):
            loads(text)


def test_a_refusal_does_not_hold_the_text_that_it_refuses() -> None:
    with pytest.raises(InvalidJson) as refused:
        loads(b'{"a": "' + b"x" * 100)
    assert (refused.value.__cause__, refused.value.__suppress_context__) == (None, True)


def test_a_normalised_copy_does_not_follow_later_changes() -> None:
    original: dict[str, list[int]] = {"a": [1]}
    copy = normalised(original)
    original["a"].append(2)
    assert copy == {"a": [1]}
