"""Stop strings are found wherever the text is cut into pieces, and nothing that they could cut leaves."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parfocal.engine.text.stream import StopStrings

LETTERS = st.text("abc", max_size=25)
STOPS = st.lists(st.text("abc", min_size=1, max_size=5), max_size=4).map(tuple)


def scan(stops: tuple[str, ...], pieces: list[str]) -> tuple[str, str]:
    """Returns the text that left and the stop string."""
    scanner, text = StopStrings(stops), ""
    for piece in pieces:
        certain, stop = scanner.push(piece)
        text += certain
        if stop:
            return text, stop
    return text + scanner.give_up(), ""


def plain_search(stops: tuple[str, ...], text: str) -> tuple[str, str]:
    for end in range(len(text) + 1):
        complete = [stop for stop in stops if text[:end].endswith(stop)]
        if complete:
            stop = max(complete, key=len)
            return text[: end - len(stop)], stop
    return text, ""


@settings(max_examples=400)
@given(st.data(), STOPS, LETTERS)
def test_the_first_match_to_be_complete_is_found_however_the_text_is_cut(
    data: st.DataObject, stops: tuple[str, ...], text: str
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]

    assert scan(stops, pieces) == plain_search(stops, text)


@settings(max_examples=200)
@given(STOPS, LETTERS)
def test_exactly_what_could_begin_a_stop_string_is_held_back(stops: tuple[str, ...], text: str) -> None:
    scanner = StopStrings(stops)

    certain, stop = scanner.push(text)

    if not stop:
        beginnings = {one[:length] for one in stops for length in range(1, len(one))}
        ends = [text[start:] for start in range(len(text))]
        held = next((end for end in ends if end in beginnings), "")
        assert (certain, scanner.give_up()) == (text.removesuffix(held), held)


@pytest.mark.parametrize(
    ("stops", "text", "expected"),
    [
        (("ab", "abc"), "xabc", ("x", "ab")),
        (("bc", "abcd"), "abcd", ("a", "bc")),
        (("cd", "abcd"), "xabcd", ("x", "abcd")),
        (("\n\n",), "a\nb\n\nc", ("a\nb", "\n\n")),
        (("",), "abc", ("abc", "")),
    ],
    ids=["shorter is complete first", "later begins, earlier ends", "same end, longest", "overlap", "empty"],
)
def test_which_of_several_matches_wins(stops: tuple[str, ...], text: str, expected: tuple[str, str]) -> None:
    assert scan(stops, [text]) == expected
    assert scan(stops, list(text)) == expected


def test_what_was_given_up_is_part_of_no_match() -> None:
    scanner = StopStrings(("ab",))

    assert scanner.push("xa") == ("x", "")
    assert scanner.give_up() == "a"
    assert scanner.push("b") == ("b", "")
