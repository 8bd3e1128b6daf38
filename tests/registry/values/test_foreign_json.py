"""JSON of other programs is read as they read it; what nobody can read is refused with the reason."""

import copy
import json
import math
from dataclasses import asdict, dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.values import JSON, UnreadableJson, check_once, read_foreign_json

VALUES: st.SearchStrategy[JSON] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_whatever_python_writes_is_read_back(value: JSON) -> None:
    assert read_foreign_json(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1000000000000000019884624838656", 10**30 + 19884624838656),
        (b"-9223372036854775809", -(2**63) - 1),
        (b"1e30", 1e30),
        (b"Infinity", math.inf),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1, "a": 2}', {"a": 2}),
    ],
    ids=["unlimited", "below 64 bits", "as a float", "infinity", "byte order mark", "repeated key"],
)
def test_what_canonical_json_forbids_is_read(text: bytes, value: JSON) -> None:
    assert read_foreign_json(text) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b'{"a": 1', "Expecting ',' delimiter at line 1, column 8"),
        (b'{"a": "\xff"}', "not UTF-8 at byte 7"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 300 + b"]" * 300, "nested more than 200 deep"),
        (b"1" * 5000, "a number has thousands of digits"),
        (b"", "Expecting value"),
    ],
)
def test_what_no_reader_accepts_is_refused_with_the_reason(text: bytes, reason: str) -> None:
    with pytest.raises(UnreadableJson, match=reason):
        read_foreign_json(text)


def test_what_could_hold_too_many_values_is_refused_before_it_is_read() -> None:
    assert read_foreign_json(b"[[],[]]", max_values=5) == [[], []]
    for text in (b"[[],[],[]]", b"[1,2,3,4,5,6", b'{"a":{"b":{"c":{"d":{"e":1}}}}}'):
        with pytest.raises(UnreadableJson, match="more than 5 values"):
            read_foreign_json(text, max_values=5)


def test_a_repeated_key_is_refused_where_it_would_be_ambiguous() -> None:
    value = read_foreign_json(b'{"a": 1, "b": 2, "a": 3}')

    assert value == {"a": 3, "b": 2}
    assert isinstance(value, dict)
    check_once(value, ["b", "c"])
    with pytest.raises(UnreadableJson, match="key 'a' appears twice"):
        check_once(value, ["b", "a"])


def test_an_object_that_repeats_keys_can_be_copied_as_any_other() -> None:
    """As the values of a dataclass are, to be sent to another process."""

    @dataclass
    class Holder:
        value: JSON

    read = read_foreign_json(b'{"a": {"b": 1, "b": 2}, "a": {"b": 3, "b": 4}}')

    assert asdict(Holder(read)) == asdict(copy.deepcopy(Holder(read))) == {"value": {"a": {"b": 4}}}
