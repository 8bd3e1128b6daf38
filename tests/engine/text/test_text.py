"""A request's text: characters once they are whole, up to its stop string."""

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.tokenizers_small import byte_fallback, byte_level
from parfocal.engine.text.stream import TextStream

BYTES = byte_level((b"END", b"EN", b" E", b"D\xf0"))
WORDS = byte_fallback(("▁the", "▁end", "e", "nd"))


def encode(text: str) -> list[int]:
    return list(text.encode())


@settings(max_examples=200)
@given(
    st.data(),
    st.lists(st.sampled_from([0x45, 0x4E, 0x44, 0xC3, 0xA9, 0x80, 256, 257, 258, 259, 260]), max_size=40),
    st.lists(st.sampled_from(["END", "ND", "EE", "é", "N", "�"]), max_size=3).map(tuple),
)
def test_tokens_at_once_give_what_one_by_one_gives(
    data: st.DataObject, ids: list[int], stops: tuple[str, ...]
) -> None:
    cut = data.draw(st.integers(0, len(ids)))
    single, batched = TextStream(BYTES, stops), TextStream(BYTES, stops)

    one_by_one = "".join(single.push([one]) for one in ids) + single.finish()
    at_once = batched.push(ids[:cut]) + batched.push(ids[cut:]) + batched.finish()

    assert (at_once, batched.stopped) == (one_by_one, single.stopped)
    assert single.text == batched.text == one_by_one


def test_a_stop_string_across_tokens_cuts_the_text_before_it() -> None:
    stream = TextStream(WORDS, ("the end",))

    deltas = [stream.push([one]) for one in [*encode("A"), 256, 257, *encode("Z")]]

    assert deltas == ["A", " ", "", ""]
    assert (stream.text, stream.stopped, stream.finish()) == ("A ", "the end", "")


def test_text_that_could_begin_a_stop_string_waits_until_it_cannot() -> None:
    stream = TextStream(BYTES, ("END",))

    assert [stream.push([one]) for one in encode("aENxEN")] == ["a", "", "", "ENx", "", ""]
    assert stream.stopped == ""
    assert stream.finish() == "EN"
    assert stream.finish() == ""
    assert stream.text == "aENxEN"


def test_half_a_character_is_dropped_at_the_end() -> None:
    stream = TextStream(BYTES, ("END",))

    assert stream.push([*encode("aE"), 0xF0, 0x9F]) == "a"
    assert stream.finish() == "E"


def test_a_stop_string_of_several_bytes_is_found() -> None:
    stream = TextStream(BYTES, ("😀",))

    assert stream.push(encode("a😀b")) == "a"
    assert stream.stopped == "😀"


def test_before_the_least_length_is_reached_no_stop_string_counts() -> None:
    stream = TextStream(BYTES, ("END",))

    assert stream.push(encode("ENDEN"), may_stop=False) == "ENDEN"
    assert stream.push(encode("D.END")) == "D."
    assert stream.stopped == "END"


def test_without_stop_strings_nothing_is_held_back() -> None:
    stream = TextStream(BYTES, ())

    assert [stream.push([one]) for one in encode("END")] == ["E", "N", "D"]
    assert stream.finish() == ""
