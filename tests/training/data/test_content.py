"""What shows between rows: repeats, contradictions, leaks and too few rows."""

from parfocal.training import Finding, Severity
from parfocal.training.data.content import check_counts, check_leaks, check_repeats
from parfocal.training.data.rows import Row, Turn


def row(line: int, prompt: str, answer: str, source: str = "data.jsonl") -> Row:
    return Row(source, line, (Turn("user", prompt), Turn("assistant", answer, learn=True)), raw=True)


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


def test_a_held_out_row_that_is_trained_on_is_refused_by_its_line_in_the_held_out_file() -> None:
    held = [row(1, "c", "z", "held.jsonl"), row(2, "A", " x", "held.jsonl")]
    found = by_code(check_leaks([row(5, "a", "x")], held))

    assert found["OVERLAP"].severity is Severity.ERROR
    assert (found["OVERLAP"].source, found["OVERLAP"].lines) == ("held.jsonl", (2,))


def test_a_trained_prompt_with_another_answer_is_a_warning() -> None:
    found = by_code(check_leaks([row(5, "a", "x")], [row(1, "a", "y", "held.jsonl")]))

    assert list(found) == ["PROMPT_OVERLAP"]
    assert found["PROMPT_OVERLAP"].severity is Severity.WARNING


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
