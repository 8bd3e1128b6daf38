"""`parfocal data`: what is wrong with rows is told by line, what is learnt of them is shown."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from fakes.terminal import on_a_terminal
from fakes.training import chat_row, write_jsonl

Run = Callable[..., Result]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    return write_jsonl(
        tmp_path / "rows.jsonl", [chat_row(f"ticket {at}", ["billing", "tech"][at % 2]) for at in range(60)]
    )


def test_good_rows_are_described(run: Run, rows: Path) -> None:
    result = run("data", "check", rows)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("rows.jsonl: 60 rows, chat messages, JSON lines, checked for sft\n")
    for part in ("Tokens of tiny", "█", "Labels", "billing", "Coverage", "Methods", "READY"):
        assert part in result.stdout
    assert f"Next: parfocal train --data {rows}" in result.stdout


def test_bad_rows_are_named_by_line_and_end_with_one(run: Run, rows: Path) -> None:
    rows.write_text(rows.read_text() + '{"messages": [{"role": "user", "content": "x"}]}\n{oops\n')

    result = run("data", "check", rows, "--no-tokens")

    assert result.exit_code == 1
    assert "LAST_NOT_ASSISTANT" in result.stdout
    assert "(rows.jsonl line 61)" in result.stdout
    assert "(rows.jsonl line 62)" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("parfocal: rows.jsonl: 2 problems in the data")


def test_the_report_is_json_for_machines(run: Run, rows: Path) -> None:
    result = run("data", "check", rows, rows, "--json", "--method", "sft", "--max-length", 64)
    first, second = json.loads(result.stdout)["reports"]

    assert first == second
    assert first["accepted"]
    assert first["answers"]["labels"] == {"billing": 30, "tech": 30}
    assert first["tokens"]["row"]["most"] > 3
    assert {each["method"]: each["fit"] for each in first["methods"]}["grpo"] == "needs mapping"


def test_rows_may_come_through_standard_input(run: Run, rows: Path) -> None:
    result = run("data", "check", "-", "--no-tokens", stdin=rows.read_text())

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("standard input: 60 rows")


def test_columns_are_named_as_the_report_says(run: Run, tmp_path: Path) -> None:
    table = tmp_path / "rows.csv"
    table.write_text("question,answer\n" + "".join(f"what {at},that {at}\n" for at in range(60)))

    assert "--column prompt=question --column completion=answer" in run("data", "check", table).stdout
    named = ("--column", "prompt=question", "--column", "completion=answer")
    assert run("data", "check", table, *named, "--no-tokens").exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [("--method", "magic"), ("--column", "prompt"), ("--column", "prompt=a", "--column", "prompt=b")],
)
def test_what_cannot_be_meant_is_a_usage_error(run: Run, rows: Path, arguments: tuple[str, ...]) -> None:
    assert run("data", "check", rows, *arguments).exit_code == 2


def test_a_missing_file_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("data", "check", tmp_path / "absent.jsonl", "--no-tokens")

    assert result.exit_code == 1
    assert "absent.jsonl: No such file" in result.stderr.splitlines()[-1]


def test_the_mask_marks_what_is_learnt(run: Run, rows: Path) -> None:
    result = run("data", "show", rows, "--mask", "--line", 2)

    assert result.exit_code == 0, result.output
    assert "rows.jsonl line 2: 3 tokens learnt" in result.stdout
    assert "⟦tech<|im_end|>⟧" in result.stdout
    assert result.stdout.count("⟦") == 1


def test_the_mask_is_json_for_machines(run: Run, rows: Path) -> None:
    result = run("data", "show", rows, "--mask", "--rows", 1, "--max-length", 8, "--json")
    (row,) = json.loads(result.stdout)["rows"]

    assert row["tokens"]["read"] + row["tokens"]["learnt"] == 8
    assert [each["state"] for each in row["stretches"]][-1] == "cut"


def test_on_a_terminal_the_mask_has_colours(rows: Path) -> None:
    code, shown = on_a_terminal("data", "show", str(rows), "--mask", "--rows", "1")

    assert code == 0
    assert "⟦" not in shown
    assert "\x1b[1;32mbilling" in shown.replace("\x1b[0m", "")


def test_rows_are_written_as_another_method_reads_them(run: Run, rows: Path, tmp_path: Path) -> None:
    result = run("data", "show", rows, "--as", "prompts")
    copy = tmp_path / "prompts.jsonl"
    copy.write_text(result.stdout)

    assert len(result.stdout.splitlines()) == 60
    assert json.loads(result.stdout.splitlines()[0])["answer"] == "billing"
    assert "checked for grpo" in run("data", "check", copy, "--no-tokens").stdout


def test_a_line_without_a_row_is_a_usage_error(run: Run, rows: Path) -> None:
    assert run("data", "show", rows, "--line", 999).exit_code == 2
