"""Page sizes and page tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.errors import InvalidPage
from parfocal.registry.values.pages import checked_page_size, key_in, page_token


@pytest.mark.parametrize(
    ("asked", "given_size"), [(0, 100), (1, 1), (1000, 1000), (1001, 1000), (10**9, 1000)]
)
def test_a_page_size_is_bounded(asked: int, given_size: int) -> None:
    assert checked_page_size(asked) == given_size


def test_a_negative_page_size_is_refused() -> None:
    with pytest.raises(InvalidPage, match="-1") as refused:
        checked_page_size(-1)
    assert refused.value.field == "page_size"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=20))
def test_a_token_leads_back_to_its_key(key: str) -> None:
    assert key_in(page_token("versions/x", key), "versions/x") == key


def test_no_token_means_the_first_page() -> None:
    assert key_in("", "versions/x") == ""


def test_a_token_of_another_listing_is_refused() -> None:
    with pytest.raises(InvalidPage, match="was not given by this listing"):
        key_in(page_token("versions/x", "3"), "versions/y")


@given(st.text(max_size=60))
def test_any_text_is_a_token_or_refused(text: str) -> None:
    try:
        key = key_in(text, "adapters")
    except InvalidPage:
        return
    assert text == "" or key_in(page_token("adapters", key), "adapters") == key
