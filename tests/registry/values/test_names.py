"""Names and aliases: what is let in, what is refused, and how well the refusal explains itself."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry import AdapterName
from parfocal.registry.errors import InvalidAlias, InvalidName
from parfocal.registry.values.names import check_alias

WORDS = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True).filter(lambda word: ".." not in word)


@given(WORDS, WORDS)
def test_a_name_reads_back_as_it_is_written(namespace: str, name: str) -> None:
    parsed = AdapterName.parse(f"{namespace}/{name}")
    assert AdapterName.parse(str(parsed)) == parsed
    assert (parsed.namespace, parsed.name) == (namespace, name)


def test_a_name_without_a_namespace_is_in_the_default_one() -> None:
    assert AdapterName.parse("invoices") == AdapterName.parse("default/invoices")
    assert str(AdapterName.parse("default/invoices")) == "invoices"


@pytest.mark.parametrize(
    "text",
    ["", "/", "a/", "/a", "a/b/c", "../etc", "a/../b", "..", ".", ".hidden", "-flag", "_x", "Team/x", "a b",
     "a\x00b", "a\nb", "a..b", "C:\\x", "a%2fb", "a@b", "x" * 64, "\uff41dmin", "inv\u200boices"],
)  # fmt: skip
def test_a_name_outside_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(InvalidName) as refused:
        AdapterName.parse(text)
    assert refused.value.field == "name"
    assert str(refused.value).isascii()


def test_a_look_alike_letter_is_called_by_its_name() -> None:
    with pytest.raises(InvalidName, match=r"U\+0430 CYRILLIC SMALL LETTER A\) at position 1 of"):
        AdapterName.parse("\u0430dmin")


@given(st.text(max_size=200))
def test_any_text_is_either_a_name_or_refused(text: str) -> None:
    try:
        name = AdapterName.parse(text)
    except InvalidName:
        return
    assert set(str(name)) <= set(string.ascii_lowercase + string.digits + "._-/")
    assert ".." not in str(name)


@pytest.mark.parametrize("text", ["prod", "v3", "3a", "eu-west.canary", "0x"])
def test_a_word_is_an_alias(text: str) -> None:
    assert check_alias(text) == text


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("3", "looks like a version number"),
        ("007", "looks like a version number"),
        ("latest", "reserved"),
        ("sha256:abc", "looks like a digest"),
        ("", "empty"),
        ("../x", "position 1"),
        ("Prod", "LATIN CAPITAL LETTER P"),
        ("a..b", "two dots in a row"),
        ("x" * 64, "64 characters"),
    ],
)
def test_what_could_be_read_another_way_is_no_alias(text: str, why: str) -> None:
    with pytest.raises(InvalidAlias, match=why) as refused:
        check_alias(text)
    assert refused.value.field == "alias"
