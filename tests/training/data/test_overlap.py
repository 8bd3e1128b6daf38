"""Held-out rows of a file of their own, against the rows that training sees."""

from collections.abc import Sequence

import pytest

from fakes.data.rows import dialogue, row, unrolled
from parfocal.training import Finding, Severity
from parfocal.training.data.overlap import check_likeness, check_overlap
from parfocal.training.data.rows import Row

HELD = "held.jsonl"


def found_in(known: Sequence[Row], held_out: Sequence[Row]) -> dict[str, Finding]:
    return {finding.code: finding for finding in check_overlap(known, held_out)[1]}


def test_a_row_that_is_trained_on_is_refused_by_its_line_in_the_held_out_file() -> None:
    found = found_in([row(5, "a", "x")], [row(1, "c", "z", HELD), row(2, "A", " x", HELD)])

    assert found["OVERLAP"].severity is Severity.ERROR
    assert (found["OVERLAP"].source, found["OVERLAP"].lines) == (HELD, (2,))


def test_a_trained_prompt_with_another_answer_is_a_warning() -> None:
    found = found_in([row(5, "a", "x")], [row(1, "a", "y", HELD)])

    assert list(found) == ["PROMPT_OVERLAP"]
    assert found["PROMPT_OVERLAP"].severity is Severity.WARNING


def test_a_chat_that_another_one_begins_with_is_refused() -> None:
    *shorter, longest = unrolled(1, turns=4)

    assert found_in([longest], shorter)["OVERLAP"].lines == tuple(each.line for each in shorter)


def test_of_a_chat_whose_beginning_is_trained_only_the_rest_is_scored() -> None:
    first, _, _, longest = unrolled(1, turns=4)
    rows, findings = check_overlap([first], [longest])

    assert [finding.code for finding in findings] == ["PARTLY_KNOWN"]
    assert [turn.learn for turn in rows[0].turns[1::2]] == [False, True, True, True]


def test_a_chat_that_is_only_context_in_training_may_be_scored() -> None:
    context = dialogue(1, [("a", "b", False), ("c", "d", True)])

    assert found_in([context], [dialogue(1, [("a", "b", True)], source=HELD)]) == {}


@pytest.mark.parametrize(
    ("prompt", "answer"), [("Name: Ann", " Lee"), ("Name:", " Ann Lee Brown"), ("Name: Ann Lee", " Brown")]
)
def test_a_raw_text_is_known_wherever_it_was_cut(prompt: str, answer: str) -> None:
    known = [row(1, "Name:", " Ann Lee Brown"), row(2, "Town:", " Ulm")]

    assert found_in(known, [row(1, prompt, answer, HELD)])["OVERLAP"].lines == (1,)


def test_a_raw_text_that_training_only_reads_is_not_known() -> None:
    assert found_in([row(1, "Name: Ann Lee Age:", " 30")], [row(1, "Name:", " Ann Lee", HELD)]) == {}
    assert found_in([row(1, "Name:", " Anna")], [row(1, "Na", "me: Ann", HELD)]) == {}


def test_the_same_chat_is_known_in_the_other_form_and_under_another_system_prompt() -> None:
    known = [dialogue(n, [(f"q{n}", f"a{n}", True)], system="Be kind.") for n in range(9)]
    held = [row(1, "q1", "a1", HELD), dialogue(2, [("q2", "a2", True)], system="Be brief.", source=HELD)]

    assert found_in(known, held)["OVERLAP"].lines == (1, 2)


def test_no_held_out_rows_are_no_fault() -> None:
    assert check_overlap([row(1, "a")], []) == ((), ())


LETTER = (
    "Dear Ms {name}, thank you for your letter of last week. We looked at the parcel that came back to our "
    "store on Monday, found the {thing} broken as you had said, and have today sent a new one to the address "
    "that you gave"
)


def letters(source: str, *filled: tuple[str, str]) -> list[Row]:
    return [
        row(n, LETTER.format(name=name, thing=thing), "parcel", source)
        for n, (name, thing) in enumerate(filled, start=1)
    ]


def test_a_row_with_a_word_changed_is_warned_of_with_its_twin() -> None:
    known = [row(n, f"quite another text number {n} about {n * 7} things") for n in range(30)]
    known += letters("data.jsonl", ("Bauer", "lamp"))
    (finding,) = check_likeness(
        known, [row(9, "fresh words here", "y", HELD), *letters(HELD, ("Klein", "lamp"))]
    )

    assert (finding.code, finding.severity, finding.lines) == ("NEAR_DUPLICATE", Severity.WARNING, (1,))
    assert "held.jsonl line 1 is like data.jsonl line 1" in finding.message


def test_what_many_rows_share_makes_none_alike() -> None:
    names = [(f"Name{n}", f"thing{n}") for n in range(60)]

    assert list(check_likeness(letters("data.jsonl", *names[:50]), letters(HELD, *names[50:]))) == []


def test_short_rows_with_another_number_are_not_alike() -> None:
    rows = [row(n, f"Item {n} costs", f" {3 * n} euro") for n in range(60)]

    assert list(check_likeness(rows[:50], rows[50:])) == []


def test_one_question_to_many_documents_makes_no_rows_alike() -> None:
    rows = [dialogue(n, [("Is it new?", f"{n % 20}", True)], system=f"document {n}") for n in range(60)]

    assert list(check_likeness(rows[:50], rows[50:])) == []


@pytest.mark.parametrize("twin", ["what does it cost", "What does it cost?!", "What — does it cost"])
def test_short_rows_that_differ_in_marks_alone_are_alike(twin: str) -> None:
    known = [row(n, f"number {n}") for n in range(30)] + [row(30, "What does it cost?")]

    assert [finding.lines for finding in check_likeness(known, [row(7, twin, "x", HELD)])] == [(7,)]


def test_text_without_spaces_is_compared_by_its_characters() -> None:
    text = "今日は天気が良いので公園まで歩いて行き友達と一緒に昼食を食べました"
    known = [row(n, f"number {n}") for n in range(30)] + [row(30, text)]

    assert list(check_likeness(known, [row(1, text.replace("今日", "昨日"), "x", HELD)]))
    assert not list(check_likeness(known, [row(1, "明日は雨が降るそうなので家で本を読みます", "x", HELD)]))
