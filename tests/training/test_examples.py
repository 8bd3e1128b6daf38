"""The examples' data: deterministic, fully determined by the prompt, and new where it is said to be new."""

import json
import re
from itertools import chain
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.training.examples import (
    JOBS,
    Job,
    Row,
    Wording,
    datasets,
    email_wording,
    examples,
    memo_marks,
    memo_style,
    memo_wording,
    names,
    ticket_wording,
)
from parfocal.training.examples.phrasing import Phrases, every, said

WORDINGS: tuple[Wording, ...] = ("seen", "new")
PHRASES: tuple[Phrases, ...] = (
    *email_wording.ISSUES.values(),
    email_wording.URGENT,
    email_wording.CALM,
    email_wording.PURCHASES,
    email_wording.OPENINGS,
    email_wording.SIGNATURES,
    email_wording.ASIDES,
    *memo_wording.NEWS.values(),
    *memo_wording.REPLIES.values(),
    memo_wording.NOTES,
    *ticket_wording.TOPICS.values(),
    *ticket_wording.PRIORITIES.values(),
    ticket_wording.HEADERS,
    ticket_wording.FOOTERS,
)
MEMO = examples(JOBS["memos"], 1, seed=1)[0]["completion"]
every_job = pytest.mark.parametrize("job", JOBS.values(), ids=JOBS)


@every_job
@pytest.mark.parametrize("wording", WORDINGS)
def test_the_same_seed_gives_the_same_rows_and_another_seed_others(job: Job, wording: Wording) -> None:
    assert list(job(20, 1, wording)) == list(job(20, 1, wording))
    assert list(job(20, 1, wording)) != list(job(20, 2, wording))


@every_job
def test_more_rows_begin_with_the_rows_of_fewer(job: Job) -> None:
    assert list(job(30, 1))[:10] == list(job(10, 1))


@every_job
def test_no_held_out_prompt_is_trained_on(job: Job) -> None:
    made = datasets(job, training=400, held_out=100, seed=0)
    assert (len(made.training), len(made.held_out), len(made.new_wording)) == (400, 100, 100)
    prompts = [row["prompt"] for row in (*made.training, *made.held_out, *made.new_wording)]
    assert len(set(prompts)) == len(prompts)


@pytest.mark.parametrize("phrases", PHRASES, ids=lambda phrases: phrases.seen[0])
def test_no_sentence_of_new_wording_can_be_said_in_training(phrases: Phrases) -> None:
    assert not set(map(_plain, every(phrases.seen))) & set(map(_plain, every(phrases.new)))


@every_job
def test_no_name_of_new_wording_occurs_in_training(job: Job) -> None:
    words = {word for row in job(1500, 3) for word in re.findall(r"\w+", row["prompt"])}
    kept_back = (names.FIRST["new"], names.LAST["new"], names.MAKES["new"], names.GOODS["new"])
    assert not words & set(chain(*kept_back))


@every_job
def test_most_of_what_new_wording_says_was_never_read_in_training(job: Job) -> None:
    """The words that decide are shared, and small change such as `of the`: runs of three words are not."""

    def runs(rows: list[Row]) -> set[tuple[str, ...]]:
        split = [row["prompt"].split() for row in rows]
        return {tuple(words[at : at + 3]) for words in split for at in range(len(words) - 2)}

    trained, new = runs(examples(job, 1000, 5)), runs(examples(job, 200, 6, "new"))
    assert len(trained & new) < 0.15 * len(new)


def test_a_record_holds_what_the_email_says() -> None:
    for wording in WORDINGS:
        for row in JOBS["emails"](200, 3, wording):
            record = json.loads(row["completion"])
            assert list(record) == ["customer", "order", "product", "issue", "urgent"]
            assert all(record[name] in row["prompt"] for name in ("customer", "order", "product"))


def test_a_memo_holds_what_the_note_says() -> None:
    for wording in WORDINGS:
        for row in JOBS["memos"](200, 3, wording):
            lines = row["completion"].split("\n")
            assert lines[0] == "MEMORANDUM"
            assert lines[1].removeprefix("TO: ") in row["prompt"]
            assert lines[2].removeprefix("FROM: ") in row["prompt"]
            assert lines[6].removeprefix("Please be advised that ").removesuffix(".") in row["prompt"]


def test_tickets_have_fifteen_labels_about_as_often() -> None:
    labels = [row["completion"] for row in JOBS["tickets"](1500, 3)]
    counts = [labels.count(label) for label in set(labels)]
    assert len(counts) == 15
    assert min(counts) > 60


@every_job
@pytest.mark.parametrize("wording", WORDINGS)
def test_no_slot_is_left_open_and_no_bracket_is_left(job: Job, wording: Wording) -> None:
    text = "".join(row["prompt"] + row["completion"] for row in job(300, 9, wording))
    assert not set("[]|") & set(text)
    if job is not JOBS["emails"]:
        assert not set("{}") & set(text)


@pytest.mark.parametrize("seed", range(20))
def test_every_memo_bears_every_mark(seed: int) -> None:
    [row] = examples(JOBS["memos"], 1, seed)
    assert all(memo_marks(row["completion"]).values())


@pytest.mark.parametrize(
    ("old", "new", "mark"),
    [
        ("MEMORANDUM", "MEMO", "heading"),
        ("FROM: ", "BY: ", "header"),
        (" 1995", " 2025", "date"),
        ("Please be advised that ", "", "opening"),
        ("\n\nPlease", "\nPlease", "opening"),
    ],
)
def test_a_memo_without_a_mark_is_not_in_style(old: str, new: str, mark: str) -> None:
    changed = MEMO.replace(old, new)
    assert not memo_marks(changed)[mark]
    assert not memo_style("", changed, MEMO)


@pytest.mark.parametrize(
    "written", ["", "\n", "MEMORANDUM", "Dear Anna Holm,\nthank you.", MEMO.rpartition("\n")[0]]
)
def test_other_texts_are_not_in_style(written: str) -> None:
    assert not memo_style("", written, MEMO)


def test_a_memo_with_other_facts_is_still_in_style() -> None:
    other = examples(JOBS["memos"], 1, seed=2)[0]["completion"]
    assert other != MEMO
    assert memo_style("", other, MEMO)


@given(st.integers(0, 2**32))
def test_what_is_said_is_one_of_all_that_can_be_said(seed: int) -> None:
    pattern = "[It|This] is [late|very late][| again]."
    assert said(Random(seed), pattern) in set(every([pattern]))
    assert len(set(every([pattern]))) == 8


def _plain(sentence: str) -> str:
    """As it may be read: the slot for words that may be nothing is left out, and case does not count."""
    return sentence.replace("{lead} ", "").casefold()
