"""What identifies an adapter or a blend, and what does not."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.engine import AdapterKey, InvalidRequest, Request, blend

A, B, C = AdapterKey("sha256:1", "a", 1), AdapterKey("sha256:2", "team/b", 3), AdapterKey("sha256:3", "c", 2)


def test_a_digest_is_an_adapters_only_identity() -> None:
    old, renamed = AdapterKey("sha256:1", "team/old", 1), AdapterKey("sha256:1", "team/new", 7)
    other = AdapterKey("sha256:2", "team/old", 1)

    assert old == renamed
    assert len({old, renamed, other}) == 2
    assert {old: "slot"}[renamed] == "slot"
    assert old != other


def test_two_requests_for_one_content_differ_in_nothing_but_their_id() -> None:
    requests = [Request("q", (1, 2), AdapterKey("sha256:1", name)) for name in ("team/old", "team/new")]

    assert requests[0] == requests[1]
    assert Request("r", (1, 2), AdapterKey("sha256:1")) != requests[0]


def test_a_blend_is_known_by_its_parts_contents_and_weights_alone() -> None:
    renamed = AdapterKey("sha256:1", "other", 9)

    assert blend([(A, 0.7), (B, 0.3)]) == blend([(B, 0.3), (renamed, 0.7)])
    others = blend([(A, 0.3), (B, 0.7)]), blend([(A, 0.7), (C, 0.3)]), A, B
    assert blend([(A, 0.7), (B, 0.3)]) not in others
    assert len(set(others)) == 4


def test_a_blend_shows_its_parts() -> None:
    made = blend([(B, -0.25), (A, 0.7)])

    assert (made.name, made.version) == ("a@1*0.7+team/b@3*-0.25", 0)
    assert made.parts == ((A, 0.7), (B, -0.25))
    assert made.digest.startswith("sha256:")


def test_weights_of_the_same_content_add_up_and_nothing_of_nothing_is_left() -> None:
    assert blend([(A, 0.25), (B, 1.0), (A, 0.5)]) == blend([(A, 0.75), (B, 1.0)])
    assert blend([(A, 0.5), (B, 0.0)]) == blend([(A, 0.5)])
    assert blend([(A, 1.0), (B, 0.0)]) == blend([(A, 0.5), (A, 0.5)]) == A
    assert blend([(A, 0.5)]) != A


@given(st.permutations([(A, 0.1), (A, 0.2), (A, 0.3), (B, 1.0)]))
def test_the_order_of_the_parts_changes_not_even_the_last_bit(parts: list[tuple[AdapterKey, float]]) -> None:
    assert blend(parts) == blend([(A, 0.1), (A, 0.2), (A, 0.3), (B, 1.0)])


@pytest.mark.parametrize(
    ("parts", "field"),
    [
        ([], "blend"),
        ([(A, 1.0)] * 9, "blend"),
        ([(A, 1.0), (A, -1.0)], "blend"),
        ([(A, 0.5), (B, math.nan)], "blend[1].weight"),
        ([(A, math.inf)], "blend[0].weight"),
        ([(A, 100.5)], "blend[0].weight"),
        ([(A, 1.0), (blend([(A, 0.5), (B, 0.5)]), 1.0)], "blend[1]"),
    ],
)
def test_a_blend_that_makes_no_sense_is_refused(parts: list[tuple[AdapterKey, float]], field: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        blend(parts)

    assert caught.value.field == field
