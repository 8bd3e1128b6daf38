"""Requests are counted with a bounded number of labels, and none is lost when a label loses its place."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from parfocal.server.metrics.tally import BASE, OTHER, AdapterLabel, RequestTally


@given(
    capacity=st.integers(0, 4),
    uses=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["stop", "length"])), max_size=200),
)
def test_labels_are_bounded_and_no_request_is_lost(capacity: int, uses: list[tuple[int, str]]) -> None:
    tally = RequestTally(capacity)
    counted: Counter[str] = Counter()
    for adapter, outcome in uses:
        before = {row[:2]: row[2] for row in tally.rows()}
        tally.add(AdapterLabel(f"a{adapter}", "1"), outcome)
        counted[outcome] += 1
        after = {row[:2]: row[2] for row in tally.rows()}
        assert all(after[key] >= count for key, count in before.items() if key in after)
        assert after.get((OTHER, outcome), 0) >= before.get((OTHER, outcome), 0)

    labels = {label for label, _, _ in tally.rows()} - {OTHER}
    sums: Counter[str] = Counter()
    for _, outcome, count in tally.rows():
        sums[outcome] += count
    assert len(labels) <= capacity
    assert +sums == counted


def test_the_most_used_adapters_keep_their_labels() -> None:
    tally = RequestTally(adapter_labels=2)
    for number, uses in ((1, 5), (2, 1), (3, 3), (4, 4)):
        for _ in range(uses):
            tally.add(AdapterLabel(f"a{number}"), "stop")
    tally.add(BASE, "stop")

    assert {label.adapter for label, _, _ in tally.rows()} == {"base", "other", "a1", "a4"}


def test_yesterdays_favourite_makes_room() -> None:
    tally = RequestTally(adapter_labels=1)
    for name, uses in (("old", 15_000), ("new", 8_000)):
        for _ in range(uses):
            tally.add(AdapterLabel(name), "stop")

    assert {label.adapter for label, _, _ in tally.rows()} == {"other", "new"}
