"""The split: decided by what rows teach, free of leaks, the same every time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.data.rows import dialogue, row, unrolled
from parfocal.training.data.rows import Row, normalised
from parfocal.training.data.split import MAX_HELD_OUT, Shares, Split, lines_in_words, rows_digest, split

_prompts = st.lists(st.text("abAB ", min_size=1, max_size=3), max_size=60)
_fractions = st.floats(0.01, 0.5)


def parted(rows: list[Row], fraction: float, *, choose: bool = False) -> Split:
    return split(rows, Shares.of(len(rows), fraction, choose=choose, report=True))


@given(_prompts, _fractions, st.booleans())
def test_no_row_is_lost_or_doubled(prompts: list[str], fraction: float, choose: bool) -> None:
    parts = parted([row(n, prompt) for n, prompt in enumerate(prompts)], fraction, choose=choose)
    lines = [each.line for part in (parts.train, parts.validation, parts.held_out) for each in part]

    assert sorted(lines) == list(range(len(prompts)))


@given(_prompts, _fractions)
def test_a_prompt_is_on_one_side_only_whatever_its_case_and_spacing(
    prompts: list[str], fraction: float
) -> None:
    parts = parted([row(n, prompt) for n, prompt in enumerate(prompts)], fraction)

    assert not {r.prompt_key() for r in parts.train} & {r.prompt_key() for r in parts.held_out}


@given(_prompts, _fractions, st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(
    prompts: list[str], fraction: float, chance: random.Random
) -> None:
    rows = [row(n, prompt) for n, prompt in enumerate(prompts)]
    shuffled = rows.copy()
    chance.shuffle(shuffled)
    parts, others = parted(rows, fraction, choose=True), parted(shuffled, fraction, choose=True)

    assert set(parts.held_out) == set(others.held_out)
    assert set(parts.validation) == set(others.validation)


@given(st.integers(10, 300), _fractions)
def test_the_fraction_is_met_where_prompts_differ(count: int, fraction: float) -> None:
    held = parted([row(n, str(n)) for n in range(count)], fraction).held_out

    assert 0 <= len(held) - min(MAX_HELD_OUT, count * fraction) < 1


def test_half_of_what_is_held_out_chooses_and_the_other_half_is_reported() -> None:
    parts = parted([row(n, str(n)) for n in range(200)], 0.1, choose=True)

    assert (len(parts.train), len(parts.validation), len(parts.held_out)) == (180, 10, 10)
    assert not set(parts.validation) & set(parts.held_out)


def test_a_prompt_that_is_most_of_the_data_stays_in_training() -> None:
    parts = parted([row(n, "same") for n in range(90)] + [row(90 + n, str(n)) for n in range(10)], 0.1)

    assert len(parts.held_out) == 10
    assert all(r.turns[0].content == "same" for r in parts.train)


@pytest.mark.parametrize("choose", [False, True])
def test_adding_a_row_moves_at_most_one_other_of_a_part(choose: bool) -> None:
    rows = [row(n, str(n)) for n in range(100)]
    before, after = (parted(each, 0.1, choose=choose) for each in (rows, [*rows, row(100, "new")]))

    assert len({r.line for r in before.held_out} - {r.line for r in after.held_out}) <= 1
    assert len({r.line for r in before.validation} - {r.line for r in after.validation}) <= 1


def learnt(rows: tuple[Row, ...]) -> set[tuple[str, ...]]:
    """Every answer that is learnt or scored, with all that comes before it."""
    return {
        tuple(normalised(turn.content) for turn in each.turns[: at + 1])
        for each in rows
        for at, turn in enumerate(each.turns)
        if turn.learn
    }


def test_chats_unrolled_turn_by_turn_are_held_out_whole() -> None:
    rows = [each for chat in range(40) for each in unrolled(chat, turns=4)]
    parts = parted(rows, 0.1, choose=True)

    assert parts.groups == 40
    assert (len(parts.held_out), len(parts.validation)) == (8, 8)
    assert not learnt(parts.train) & learnt((*parts.held_out, *parts.validation))


_texts = st.sampled_from(["a", "A ", "b", "b c"])
_talks = st.lists(st.tuples(_texts, _texts, st.booleans()), min_size=1, max_size=3)


@given(st.lists(st.tuples(st.sampled_from(["", "s", "t"]), _talks), max_size=40), _fractions)
def test_no_answer_is_both_learnt_and_scored_whatever_the_rows_share(
    talks: list[tuple[str, list[tuple[str, str, bool]]]], fraction: float
) -> None:
    rows = [dialogue(n, talk, system=system) for n, (system, talk) in enumerate(talks)]
    parts = parted(rows, fraction, choose=True)

    assert not learnt(parts.train) & learnt(parts.held_out)
    assert not learnt(parts.train) & learnt(parts.validation)
    assert not learnt(parts.validation) & learnt(parts.held_out)
    assert all(any(turn.learn for turn in each.turns) for each in (*parts.held_out, *parts.validation))


@given(
    st.lists(st.tuples(st.text("ab ", min_size=2, max_size=7), st.integers(1, 6)), max_size=40), _fractions
)
def test_one_text_cut_at_other_places_is_not_parted(cut: list[tuple[str, int]], fraction: float) -> None:
    pairs = [(text[:at], text[at:]) for text, at in cut if text[:at].strip() and text[at:].strip()]
    rows = [row(n, prompt, answer) for n, (prompt, answer) in enumerate(pairs)]
    parts = parted(rows, fraction)

    for held in parts.held_out:
        text = normalised(held.turns[0].content + held.answer)
        for trained in parts.train:
            whole = normalised(trained.turns[0].content + trained.answer)
            begins = whole == text or whole.startswith(f"{text} ")
            assert not (begins and len(normalised(trained.turns[0].content)) < len(text))


def test_a_greeting_that_opens_every_chat_keeps_none_from_being_held_out_and_is_not_scored() -> None:
    rows = [dialogue(n, [("Hi", "Hello!", True), (f"q{n}", f"a{n}", True)]) for n in range(60)]
    parts = parted(rows, 0.1)

    assert parts.common == 1
    assert len(parts.held_out) == 6
    assert all([turn.learn for turn in each.turns] == [False, False, False, True] for each in parts.held_out)
    assert all(each.turns[1].learn for each in parts.train)


def test_variants_of_the_system_prompt_stay_together() -> None:
    asked = [(f"question {n}", f"answer {n}", True) for n in range(40)]
    rows = [
        dialogue(3 * n + variant, [pair], system=f"Be {style}.")
        for n, pair in enumerate(asked)
        for variant, style in enumerate(("kind", "brief", "exact"))
    ]
    parts = parted(rows, 0.1)
    held = {each.talk for each in parts.held_out}

    assert len(parts.held_out) == 12
    assert not held & {each.talk for each in parts.train}


def test_a_system_prompt_that_is_the_document_tells_rows_apart() -> None:
    rows = [
        dialogue(2 * n + k, [(question, f"{k}{n}", True)], system=f"document {n}")
        for n in range(40)
        for k, question in enumerate(("Who?", "When?"))
    ]

    assert len(parted(rows, 0.1).held_out) == 8


@pytest.mark.parametrize("twin", ["Straße", "stra\u00adsse", " strasse\u200b", "\uff53\uff54rasse"])
def test_twins_that_look_alike_stay_together(twin: str) -> None:
    rows = [row(n, f"{n}") for n in range(60)] + [row(60, "strasse"), row(61, twin)]
    for seed in range(5):  # whichever part they fall into
        parts = parted([*rows, row(62 + seed, f"x{seed}")], 0.5, choose=True)
        sides = [
            {60, 61} & {r.line for r in part} for part in (parts.train, parts.validation, parts.held_out)
        ]
        assert {60, 61} in sides


def test_the_digest_is_of_what_is_taught_not_of_the_lines() -> None:
    assert rows_digest([row(1, "a"), row(2, "b")]) == rows_digest([row(9, "b"), row(4, "a")])
    assert rows_digest([row(1, "a")]) != rows_digest([row(1, "a", "y")])
    assert rows_digest([row(1, "a")]) != rows_digest([row(1, "a"), row(1, "a")])


def test_the_record_names_the_rows_of_every_part() -> None:
    parts = parted([row(n, str(n)) for n in range(1, 41)], 0.1, choose=True)
    record = parts.record()

    assert record["held_out_digest"] == rows_digest(parts.held_out)
    assert record["held_out_lines"] == lines_in_words(parts.held_out)
    assert (record["train_rows"], record["validation_rows"], record["held_out_rows"]) == (36, 2, 2)
    assert record["split_groups"] == 40


def test_lines_are_told_in_runs() -> None:
    assert lines_in_words([row(n, "x") for n in (9, 3, 4, 5, 7, 8, 20)]) == "3-5 7-9 20"
    assert lines_in_words([]) == ""
    assert lines_in_words([row(2 * n, "x") for n in range(300)]).endswith(" 396 398 and 100 more")
