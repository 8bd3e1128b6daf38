"""The order of rows: fair, mixed, of similar lengths, and the same whenever it is laid out."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from parfocal.training.methods.order import row_order

lengths = st.lists(st.integers(1, 50), min_size=1, max_size=70)
batch_sizes = st.integers(1, 9)
step_counts = st.integers(1, 40)


def batches(order: list[int], size: int) -> list[list[int]]:
    return [order[at : at + size] for at in range(0, len(order), size)]


@given(lengths, batch_sizes, step_counts)
def test_every_step_has_a_whole_batch(rows: list[int], size: int, steps: int) -> None:
    assert len(row_order(rows, size, steps, 0)) == size * steps


@given(lengths, batch_sizes, step_counts)
def test_no_row_is_favoured(rows: list[int], size: int, steps: int) -> None:
    seen = Counter(row_order(rows, size, steps, 0))
    counts = [seen[index] for index in range(len(rows))]

    assert max(counts) - min(counts) <= 2
    if size * steps >= len(rows) + size:
        assert min(counts) >= 1


@given(lengths, batch_sizes, step_counts)
def test_a_batch_holds_no_row_twice_where_there_are_enough(rows: list[int], size: int, steps: int) -> None:
    if len(rows) >= size:
        assert all(len(set(batch)) == size for batch in batches(row_order(rows, size, steps, 0), size))


@given(lengths, batch_sizes, step_counts)
def test_a_longer_run_begins_like_a_shorter_one(rows: list[int], size: int, steps: int) -> None:
    longer = row_order(rows, size, steps + 5, 3)

    assert longer[: size * steps] == row_order(rows, size, steps, 3)


@given(lengths, batch_sizes)
def test_the_longest_row_comes_in_the_first_batch(rows: list[int], size: int) -> None:
    first = row_order(rows, max(1, min(size, len(rows))), 1, 0)

    assert max(rows[index] for index in first) == max(rows)


def test_batches_are_mixed_differently_by_epoch_and_seed() -> None:
    rows = list(range(64))
    order = row_order(rows, 8, 16, 0)

    assert order[:64] != order[64:]
    assert sorted(order[:64]) == sorted(order[64:]) == rows
    assert order != row_order(rows, 8, 16, 1)


def test_grouping_by_length_saves_most_of_the_padding() -> None:
    rows = [10 + (index * 37) % 90 for index in range(256)]
    padding = sum(
        max(rows[i] for i in batch) - rows[index]
        for batch in batches(row_order(rows, 8, 32, 0), 8)
        for index in batch
    )
    unsorted = sum(
        max(rows[i] for i in batch) - rows[index] for batch in batches(list(range(256)), 8) for index in batch
    )

    assert padding < unsorted / 4
