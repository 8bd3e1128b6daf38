"""What shows between rows: repeats, contradictions and too few rows."""

from fakes.data.rows import dialogue, row
from parfocal.training import Finding, Severity
from parfocal.training.data.amounts import check_counts
from parfocal.training.data.repeats import check_repeats


def by_code(findings: object) -> dict[str, Finding]:
    assert hasattr(findings, "__iter__")
    return {finding.code: finding for finding in findings}


def test_a_repeated_row_is_named_but_not_its_first() -> None:
    found = by_code(check_repeats([row(1, "a", "x"), row(2, "b", "y"), row(3, "a", "x"), row(4, "a", "x")]))

    assert found["DUPLICATE"].lines == (3, 4)
    assert found["DUPLICATE"].severity is Severity.WARNING
    assert "CONTRADICTION" not in found


def test_two_answers_to_one_prompt_are_named_on_all_their_lines() -> None:
    found = by_code(check_repeats([row(1, "Say A", "x"), row(2, "b", "y"), row(3, "say  a ", "z")]))

    assert found["CONTRADICTION"].lines == (1, 3)
    assert found["CONTRADICTION"].severity is Severity.WARNING


def test_different_rows_have_no_finding() -> None:
    assert list(check_repeats([row(1, "a", "x"), row(2, "b", "x")])) == []


def test_no_rows_have_no_repeats() -> None:
    assert list(check_repeats([])) == []


def test_chats_unrolled_with_every_answer_learnt_repeat_their_answers() -> None:
    rows = [dialogue(1, [("a", "b", True)]), dialogue(2, [("a", "b", True), ("c", "d", True)])]
    found = by_code(check_repeats(rows))

    assert list(found) == ["REPEATED_ANSWER"]
    assert found["REPEATED_ANSWER"].lines == (2,)
    assert list(check_repeats([rows[0], dialogue(2, [("a", "b", False), ("c", "d", True)])])) == []


def test_two_answers_in_the_middle_of_a_talk_contradict_too() -> None:
    rows = [dialogue(1, [("a", "b", True)]), dialogue(2, [("a", "x", True), ("c", "d", True)])]

    assert by_code(check_repeats(rows))["CONTRADICTION"].lines == (1, 2)


def test_too_few_training_rows_are_refused() -> None:
    rows = [row(n, str(n), "x") for n in range(30)]

    assert by_code(check_counts(rows[:9], rows[9:], "d"))["TOO_FEW_ROWS"].severity is Severity.ERROR
    assert "TOO_FEW_ROWS" not in by_code(check_counts(rows[:10], rows[10:], "d"))


def test_few_rows_are_a_warning() -> None:
    rows = [row(n, str(n), "x") for n in range(80)]

    assert "FEW_ROWS" in by_code(check_counts(rows[:49], rows[50:], "d"))
    assert by_code(check_counts(rows[:50], rows[50:], "d")) == {}


def test_no_held_out_row_is_refused_and_few_are_a_warning() -> None:
    rows = [row(n, str(n), "x") for n in range(80)]

    assert by_code(check_counts(rows, [], "d"))["NO_HELD_OUT"].severity is Severity.ERROR
    assert "one row is 20%" in by_code(check_counts(rows, rows[:5], "d"))["SMALL_HELD_OUT"].message


def test_where_none_is_left_to_choose_on_that_is_said() -> None:
    rows = [row(n, str(n), "x") for n in range(80)]
    found = by_code(check_counts(rows[:60], rows[60:], "d", no_choice=True))

    assert found["NO_VALIDATION"].severity is Severity.WARNING
