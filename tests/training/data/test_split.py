"""The held-out split: decided by prompts, free of leaks, the same every time."""

import random

from hypothesis import given
from hypothesis import strategies as st

from parfocal.training.data.rows import Row, Turn
from parfocal.training.data.split import MAX_HELD_OUT, rows_digest, split


def row(line: int, prompt: str, answer: str = "x") -> Row:
    return Row("d", line, (Turn("user", prompt), Turn("assistant", answer, learn=True)), raw=True)


_prompts = st.lists(st.text("abAB ", min_size=1, max_size=3), max_size=60)
_fractions = st.floats(0.01, 0.5)


@given(_prompts, _fractions)
def test_no_row_is_lost_or_doubled(prompts: list[str], fraction: float) -> None:
    rows = [row(n, prompt) for n, prompt in enumerate(prompts)]
    train, held = split(rows, fraction)

    assert sorted(r.line for r in (*train, *held)) == list(range(len(rows)))


@given(_prompts, _fractions)
def test_a_prompt_is_on_one_side_only_whatever_its_case_and_spacing(
    prompts: list[str], fraction: float
) -> None:
    train, held = split([row(n, prompt) for n, prompt in enumerate(prompts)], fraction)

    assert not {r.prompt_key() for r in train} & {r.prompt_key() for r in held}


@given(_prompts, _fractions, st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(
    prompts: list[str], fraction: float, chance: random.Random
) -> None:
    rows = [row(n, prompt) for n, prompt in enumerate(prompts)]
    shuffled = rows.copy()
    chance.shuffle(shuffled)

    assert set(split(rows, fraction)[1]) == set(split(shuffled, fraction)[1])


@given(st.integers(10, 300), _fractions)
def test_the_fraction_is_met_where_prompts_differ(count: int, fraction: float) -> None:
    _, held = split([row(n, str(n)) for n in range(count)], fraction)

    assert 0 <= len(held) - min(MAX_HELD_OUT, count * fraction) < 1


def test_a_prompt_that_is_most_of_the_data_stays_in_training() -> None:
    rows = [row(n, "same") for n in range(90)] + [row(90 + n, str(n)) for n in range(10)]
    train, held = split(rows, 0.1)

    assert len(held) == 10
    assert all(r.turns[0].content == "same" for r in train)


def test_adding_a_row_moves_at_most_one_other() -> None:
    rows = [row(n, str(n)) for n in range(100)]
    before = {r.line for r in split(rows, 0.1)[1]}
    after = {r.line for r in split([*rows, row(100, "new")], 0.1)[1]}

    assert len(before - after) <= 1


def test_the_digest_is_of_what_is_taught_not_of_the_lines() -> None:
    assert rows_digest([row(1, "a"), row(2, "b")]) == rows_digest([row(9, "b"), row(4, "a")])
    assert rows_digest([row(1, "a")]) != rows_digest([row(1, "a", "y")])
    assert rows_digest([row(1, "a")]) != rows_digest([row(1, "a"), row(1, "a")])
