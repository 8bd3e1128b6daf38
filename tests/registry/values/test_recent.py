"""What was used last stays, and never more than there is room for."""

from hypothesis import given
from hypothesis import strategies as st

from parfocal.registry.values import Recent

LIMIT = 80
CALLS = st.lists(st.tuples(st.integers(0, 12), st.none() | st.integers(0, 50)), max_size=60)


@given(CALLS)
def test_it_never_holds_more_than_its_bytes_and_gives_back_what_was_put_in(
    calls: list[tuple[int, int | None]],
) -> None:
    recent, last = Recent[int, str](LIMIT), dict[int, str]()
    for step, (key, size) in enumerate(calls):
        if size is None:
            assert recent.get(key) in (None, last.get(key))
            continue
        last.pop(key, None)
        if size <= LIMIT // 2:
            last[key] = f"{step}"
        recent.put(key, f"{step}", size)
        assert recent.size_bytes <= LIMIT


def test_what_was_not_used_for_longest_goes_first() -> None:
    recent = Recent[str, int](LIMIT)
    for number, key in enumerate("abcdefgh"):
        recent.put(key, number, 10)
    assert recent.get("a") == 0
    recent.put("i", 8, 10)
    assert (recent.get("b"), recent.get("a"), recent.get("i")) == (None, 0, 8)


def test_what_would_drive_out_too_much_is_not_held() -> None:
    recent = Recent[str, int](LIMIT)
    recent.put("small", 1, 10)
    recent.put("large", 2, 41)
    assert (recent.get("small"), recent.get("large"), recent.size_bytes) == (1, None, 10)
