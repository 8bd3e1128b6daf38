"""A check finds every fault of a data set in one pass over it, and keeps next to nothing of the file."""

import json
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from fakes.training import chat_row, chat_rows, write_jsonl
from parfocal.training import Finding, Severity
from parfocal.training.data import BaseEncoder
from parfocal.training.data.checks import CheckSettings, DataReport, check_data

JsonRow = Mapping[str, object]
Check = Callable[..., DataReport]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    def checked(
        rows: Sequence[JsonRow], encoder: BaseEncoder | None = None, **settings: object
    ) -> DataReport:
        held_out = settings.pop("held_out", None)
        if isinstance(held_out, list):
            settings["held_out"] = write_jsonl(tmp_path / "held.jsonl", held_out)
        chosen = CheckSettings(**settings)  # type: ignore[arg-type]  # as the test names them
        return check_data(write_jsonl(tmp_path / "rows.jsonl", rows), chosen, encoder)

    return checked


@pytest.fixture(scope="module")
def encoder(tokenizer_folder: Path) -> BaseEncoder:
    return BaseEncoder(tokenizer_folder)


def by_code(report: DataReport) -> dict[str, Finding]:
    return {finding.code: finding for finding in report.report.findings}


def texts(count: int) -> list[JsonRow]:
    """Rows that have little in common."""
    words = [f"{chr(97 + at % 26)}{at * 7919 % 9973:x}{chr(97 + at * 5 % 26)}" for at in range(4000)]
    return [
        chat_row(" ".join(words[(at * 131 + n * n * 17) % 4000] for n in range(30)), f"answer {at} to it all")
        for at in range(count)
    ]


def test_good_rows_are_accepted_with_all_that_is_known_of_them(check: Check, encoder: BaseEncoder) -> None:
    report = check(texts(60), encoder)

    assert report.report.findings == ()
    assert report.accepted
    assert (report.method, report.format, report.container) == ("sft", "chat messages", "JSON lines")
    assert report.report.counts == {"objects": 60, "rows": 60}
    assert report.sampled == 60
    assert sum(bar.rows for bar in report.lengths["row"].bars) == 60
    assert report.lengths["row"].total == report.lengths["prompt"].total + report.lengths["answer"].total
    json.dumps(report.to_json())


def test_every_fault_of_a_row_is_an_error_with_its_line(check: Check, encoder: BaseEncoder) -> None:
    rows: list[JsonRow] = [*texts(60)]
    user, answer = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    rows[1] = {"messages": [{"role": "narrator", "content": "x"}, answer]}
    rows[2] = {"messages": [user, {"role": "assistant", "content": ""}]}
    rows[3] = {"messages": [user, {"role": "assistant", "content": float("nan")}]}
    rows[4] = {"messages": [user, answer, user]}
    rows[5] = {"messages": [user, answer | {"weight": 0}]}
    rows[6] = {"messages": [user, answer | {"tool_calls": [{"id": "1", "function": {"name": "f"}}]}, answer]}
    rows[7] = chat_row("a<|im_end|>b", "b")
    rows[8] = {"prompt": "a", "completion": "b"}
    rows[9] = {"colour": "red"}
    report = check(rows, encoder)
    found = {finding.code: finding.lines for finding in report.report.errors}

    assert found == {
        "WRONG_ROLE": (2,),
        "EMPTY": (3, 4),
        "LAST_NOT_ASSISTANT": (5,),
        "NOTHING_TO_LEARN": (6,),
        "TOOL_CALL_UNANSWERED": (7,),
        "SPECIAL_TOKEN": (8,),
        "MIXED_FORMATS": (9,),
        "UNKNOWN_FORMAT": (10,),
    }
    assert not report.accepted


def test_repeats_and_contradictions_are_named(check: Check) -> None:
    rows = texts(60)
    rows[20] = rows[10]
    rows[30] = {"messages": [*rows[10]["messages"][:1], {"role": "assistant", "content": "no"}]}  # type: ignore[index]
    found = by_code(check(rows))

    assert found["DUPLICATE"].lines == (21,)
    assert found["CONTRADICTION"].lines == (11, 21, 31)


def test_rows_that_are_also_held_out_are_refused_and_near_ones_warned_of(check: Check) -> None:
    rows = texts(60)
    near = [
        {"role": turn["role"], "content": turn["content"].replace("answer 7", "answer 77")}
        for turn in rows[7]["messages"]  # type: ignore[attr-defined]
    ]
    report = check(rows, held_out=[rows[5], texts(80)[75], {"messages": near}])
    found = by_code(report)

    assert (found["OVERLAP"].source, found["OVERLAP"].lines) == ("held.jsonl", (1,))
    assert found["NEAR_DUPLICATE"].lines == (1, 3)
    assert "held.jsonl line 1 is like rows.jsonl line 6" in found["NEAR_DUPLICATE"].message
    assert "characters on end in both" in found["NEAR_DUPLICATE"].message
    assert report.report.counts["held_out_rows"] == 3


def test_rows_that_are_nearly_an_earlier_one_are_noted(check: Check) -> None:
    rows = texts(60)
    said = str(rows[10]["messages"][0]["content"])  # type: ignore[index]
    rows[40] = chat_row(said + " please", "answer 10 to it all")
    found = by_code(check(rows))

    assert found["ALIKE"].lines == (41,)
    assert found["ALIKE"].severity is Severity.NOTE


def test_an_instruction_that_all_rows_share_makes_none_alike(check: Check) -> None:
    rows = [
        chat_row(
            "Read the following e-mail and extract all its fields as JSON, nothing else.\n" + said, answer
        )
        for said, answer in (
            (str(row["messages"][0]["content"])[:60], str(row["messages"][1]["content"]))  # type: ignore[index]
            for row in texts(100)
        )
    ]

    assert "ALIKE" not in by_code(check(rows))


def test_rows_are_cut_where_it_is_said(check: Check, encoder: BaseEncoder) -> None:
    rows = texts(40)
    rows[3] = chat_row("x" * 400, "y")
    rows[4] = chat_row("x", "y" * 400)
    found = by_code(check(rows, encoder, max_length=300))

    assert found["NOTHING_TO_LEARN"].lines == (4,)
    assert found["TRUNCATED"].lines == (5,)
    assert "(2% of the rows)" in found["TRUNCATED"].message


def test_labels_out_of_balance_are_warned_of(check: Check) -> None:
    rows = [chat_row(f"ticket {at}", "billing" if at % 30 else "technical") for at in range(90)]
    report = check(rows)

    assert report.answers.labels == {"billing": 87, "technical": 3}
    assert "97% of the rows" in by_code(report)["LABEL_IMBALANCE"].message
    assert "'technical'" in by_code(report)["RARE_LABEL"].message


def test_an_answer_that_is_no_json_among_those_that_are_is_named(check: Check) -> None:
    rows = [chat_row(f"mail {at}", json.dumps({"number": at, "note": "x" * 60})) for at in range(60)]
    rows[6] = chat_row("mail six", "Sorry, I cannot read this e-mail, as it seems to be in another language.")
    report = check(rows)

    assert by_code(report)["NOT_JSON"].lines == (7,)
    assert report.answers.json_keys == {"number": 59, "note": 59}


def test_slices_and_lengths_that_are_hardly_covered_are_warned_of(check: Check) -> None:
    rows: list[JsonRow] = [
        {**row, "slice": "long" if at == 5 else "usual"} for at, row in enumerate(texts(60))
    ]
    held_out = [chat_row("short", "answer"), {**chat_row("x" * 5000, "answer"), "slice": "new"}]
    found = by_code(check(rows, held_out=held_out))

    assert "'long' (1), 'new' (0)" in found["THIN_SLICE"].message
    assert "to 16 characters (0), to 16384 characters (0)" in found["THIN_LENGTH"].message


@pytest.mark.parametrize(
    ("row", "method"),
    [
        ({"text": "some text"}, "text"),
        ({"prompt": "a", "chosen": "b", "rejected": "c"}, "dpo"),
        ({"prompt": "a", "completion": "b", "label": True}, "kto"),
        ({"prompt": "a", "answer": "7"}, "grpo"),
    ],
)
def test_rows_are_checked_by_the_rules_of_the_method_that_they_are_written_for(
    check: Check, encoder: BaseEncoder, row: dict[str, object], method: str
) -> None:
    key = next(iter(row))
    report = check([row | {key: f"{row[key]} {at}"} for at in range(60)], encoder)

    assert report.method == method
    assert report.accepted
    assert report.lengths["row"].total > 0


def test_a_method_that_does_not_read_the_rows_refuses_them_all(check: Check) -> None:
    report = check(texts(20), method="dpo")

    assert by_code(report)["WRONG_FORMAT"].count == 20
    assert not report.accepted


def test_pairs_whose_better_answer_is_the_longer_are_warned_of(check: Check) -> None:
    rows = [{"prompt": f"{at}", "chosen": "long answer", "rejected": "short"} for at in range(60)]

    assert "100% of the chosen answers are longer" in by_code(check(rows))["LENGTH_BIAS"].message


def test_pairs_that_prefer_one_way_and_the_other_contradict(check: Check) -> None:
    rows = [{"prompt": f"{at}", "chosen": "b" * at, "rejected": "c"} for at in range(2, 62)]
    rows.append({"prompt": "5", "chosen": "c", "rejected": "bbbbb"})

    assert by_code(check(rows))["CONTRADICTION"].lines == (4, 61)


def test_of_a_large_file_an_even_sample_is_counted(check: Check, encoder: BaseEncoder) -> None:
    report = check(chat_rows(3000), encoder, sample=100)

    assert 50 < report.sampled <= 100
    assert report.report.counts["rows"] == 3000


def test_what_a_check_keeps_does_not_grow_with_the_rows_file(tmp_path: Path) -> None:
    """A row of 100 kB costs the same to keep as one of 100 B: some dozens of bytes."""

    def peak(rows: int) -> int:
        path = tmp_path / "rows.jsonl"
        with path.open("w") as file:
            for at in range(rows):
                file.write(json.dumps({"prompt": f"{at} " + "x" * 100_000, "completion": "y"}) + "\n")
        tracemalloc.start()
        try:
            check_data(path, CheckSettings(sample=8))
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    few, many = peak(100), peak(400)

    assert many < few + 10_000_000  # the file grew by 30 MB


def test_a_check_imports_no_torch(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "rows.jsonl", texts(12))
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from parfocal.training.data.checks import CheckSettings, check_data\n"
        f"check_data(Path({str(path)!r}), CheckSettings())\n"
        "print([name for name in ('torch', 'transformers', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
