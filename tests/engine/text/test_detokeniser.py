"""Tokens become text piece by piece, and the pieces are what decoding everything at once gives."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from fakes.tokenizers_small import byte_fallback, byte_level, metaspace
from parfocal.engine.text.detokeniser import Detokeniser

# Tokens that begin or end inside a character, as trained vocabularies have them.
CUT = (
    b"\xa9\xc3",
    b"\x98\x80",
    b" caf\xc3",
    b"\xf0\x9f",
    b"\x80 ",
    b"\xe2\x82",
    b"\xbf\xbd\xef",
    b" a",
    b"the",
)
BYTES = byte_level(CUT)
SPECIAL_ID = 256 + len(CUT)
WORDS = ("▁", "▁▁", "▁Hello", "▁world", "Hello", "s", "▁a", ".", "\n", "é", "▁😀")
SPACED = metaspace(WORDS)
FALLBACK = byte_fallback(WORDS)
WORD = st.integers(256, 256 + len(WORDS))


def pieces(tokenizer: Tokenizer, ids: list[int]) -> list[str]:
    detokeniser = Detokeniser(tokenizer)
    return [detokeniser.push(one) for one in ids]


def assert_adds_up(tokenizer: Tokenizer, ids: list[int]) -> None:
    """The pieces are all the text, of which only replacement characters at the end may be missing."""
    text, whole = "".join(pieces(tokenizer, ids)), tokenizer.decode(ids, skip_special_tokens=True)
    assert text.rstrip("�") == whole.rstrip("�")
    assert whole.startswith(text)


ROUGH = st.sampled_from([0x41, 0x20, 0x80, 0xA9, 0xC3, 0xE2, 0x82, 0xAC, 0xF0, 0x9F, 0x98, 0xEF, 0xBF, 0xBD])


@settings(max_examples=400)
@given(st.lists(ROUGH | st.integers(256, SPECIAL_ID + 3) | st.integers(0, 255), max_size=60))
@example([0xC3, *[256] * 20, 0xA9])  # every token ends inside a character
@example([0x80] * 12 + [0xF0, 0x9F, 0x98, 0x80])
def test_any_bytes_however_broken_add_up_to_the_whole(ids: list[int]) -> None:
    assert_adds_up(BYTES, ids)


@settings(max_examples=200)
@given(st.lists(st.integers(0, len(WORDS) + 2), max_size=30))
def test_spaces_between_words_are_kept_and_the_first_one_is_not(ids: list[int]) -> None:
    assert_adds_up(SPACED, ids)


@settings(max_examples=200)
@given(st.lists(WORD | st.characters(codec="utf-8").map(lambda one: list(one.encode())), max_size=30))
def test_bytes_between_words_add_up_to_the_whole(tokens: list[int | list[int]]) -> None:
    ids = [one for token in tokens for one in (token if isinstance(token, list) else [token])]

    assert_adds_up(FALLBACK, ids)


def test_a_character_leaves_once_with_its_last_byte() -> None:
    assert pieces(BYTES, list("a😀é".encode())) == ["a", "", "", "", "😀", "", "é"]
    assert pieces(FALLBACK, list("a😀é".encode())) == ["a", "", "", "", "😀", "", "é"]


def test_whole_characters_do_not_wait_for_the_half_one_after_them() -> None:
    assert pieces(BYTES, [256 + CUT.index(b" caf\xc3"), 0xA9]) == [" caf", "é"]


def test_a_special_token_inside_a_character_does_not_break_it() -> None:
    assert pieces(BYTES, [0xC3, SPECIAL_ID, 0xA9]) == ["", "", "é"]


def test_a_fallback_character_stays_when_broken_bytes_follow_it() -> None:
    word = 256 + WORDS.index("s")

    assert "".join(pieces(FALLBACK, [0xC3, 0xA9, 0xF0, word])).startswith("é")
    assert FALLBACK.decode([0xC3, 0xA9, 0xF0, word]) == "���s"


@pytest.mark.parametrize(
    "token_id",
    [0x41, 0x80, SPECIAL_ID, SPECIAL_ID + 1],
    ids=["text", "broken", "special", "not in the vocabulary"],
)
def test_a_token_costs_the_same_however_many_came_before(token_id: int) -> None:
    counting = CountingTokenizer(BYTES)
    detokeniser = Detokeniser(counting)  # type: ignore[arg-type]

    for _ in range(300):
        detokeniser.push(token_id)

    assert counting.longest <= 12


class CountingTokenizer:
    """Decodes as the real one does and remembers the longest sequence it was given."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.longest = 0
        self._tokenizer = tokenizer

    def decode(self, ids: list[int], skip_special_tokens: bool) -> str:
        self.longest = max(self.longest, len(ids))
        return self._tokenizer.decode(ids, skip_special_tokens=skip_special_tokens)

    def id_to_token(self, token_id: int) -> str | None:
        return self._tokenizer.id_to_token(token_id)
