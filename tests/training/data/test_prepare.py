"""One pass over the data names every fault at once, before torch or any model is loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.training import JsonRow, chat_row, chat_rows, write_jsonl
from oracle.bases import byte_tokenizer, configurations
from parfocal.training import BaseUnfit, DataUnreadable, Finding, InvalidConfig, Severity, TrainConfig, check
from parfocal.training.data import Sample
from parfocal.training.data.prepare import Prepared, prepare


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data.jsonl"


def config(data: Path, base: Path, **changes: object) -> TrainConfig:
    return TrainConfig(data=data, name="small", base=str(base), **changes)  # type: ignore[arg-type]


def by_code(prepared: Prepared[Sample]) -> dict[str, Finding]:
    return {finding.code: finding for finding in prepared.report.findings}


def test_good_data_is_split_and_gets_hyperparameters(data: Path, tokenizer_folder: Path) -> None:
    prepared = prepare(config(write_jsonl(data, chat_rows(300)), tokenizer_folder), tokenizer_folder)

    assert prepared.report.findings == ()
    assert (len(prepared.train), len(prepared.validation), len(prepared.held_out)) == (270, 15, 15)
    assert prepared.report.counts["rows"] == 300
    assert prepared.hyperparameters is not None


def test_all_faults_are_found_in_one_pass_with_their_lines(data: Path, tokenizer_folder: Path) -> None:
    rows: list[JsonRow] = [*chat_rows(60)]
    rows[4] = {"messages": [{"role": "human", "content": "x"}]}
    rows[9] = chat_row("x" * 300, "y")
    rows[14] = rows[13]
    rows[19] = chat_row("a<|im_end|>", "b")
    write_jsonl(data, rows)
    data.write_text(data.read_text() + "{oops\n")
    prepared = prepare(config(data, tokenizer_folder), tokenizer_folder)
    found = {code: finding.lines for code, finding in by_code(prepared).items()}

    assert found["BAD_JSON"] == (61,)
    assert found["WRONG_ROLE"] == (5,)
    assert found["NOTHING_TO_LEARN"] == (10,)
    assert found["DUPLICATE"] == (15,)
    assert found["SPECIAL_TOKEN"] == (20,)
    assert prepared.hyperparameters is None


def test_an_explicit_held_out_file_is_checked_against_the_training_rows(
    data: Path, tmp_path: Path, tokenizer_folder: Path
) -> None:
    rows = chat_rows(60)
    write_jsonl(data, rows)
    held = write_jsonl(tmp_path / "held.jsonl", [chat_row("fresh", "x"), rows[7]])
    prepared = prepare(config(data, tokenizer_folder, held_out=held), tokenizer_folder)

    assert (len(prepared.train), len(prepared.validation), len(prepared.held_out)) == (54, 6, 2)
    assert (by_code(prepared)["OVERLAP"].source, by_code(prepared)["OVERLAP"].lines) == ("held.jsonl", (2,))
    assert prepared.hyperparameters is None


def test_where_nothing_is_chosen_all_rows_train_or_are_reported(
    data: Path, tmp_path: Path, tokenizer_folder: Path
) -> None:
    write_jsonl(data, chat_rows(60))
    held = write_jsonl(tmp_path / "held.jsonl", [chat_row("fresh", "x")])
    fixed = {"keep": "last", "steps": 5}
    own = prepare(config(data, tokenizer_folder, **fixed), tokenizer_folder)
    file = prepare(config(data, tokenizer_folder, held_out=held, **fixed), tokenizer_folder)

    assert (len(own.train), len(own.validation), len(own.held_out)) == (54, 0, 6)
    assert (len(file.train), len(file.validation), len(file.held_out)) == (60, 0, 1)


def test_rows_to_choose_on_may_be_a_file_which_may_share_nothing_with_the_others(
    data: Path, tmp_path: Path, tokenizer_folder: Path
) -> None:
    rows = chat_rows(60)
    write_jsonl(data, rows)
    chosen = write_jsonl(tmp_path / "choose.jsonl", [chat_row("fresh", "x"), rows[3]])
    held = write_jsonl(tmp_path / "held.jsonl", [chat_row("other", "x"), chat_row("Fresh ", "x")])
    prepared = prepare(config(data, tokenizer_folder, validation=chosen, held_out=held), tokenizer_folder)
    overlaps = {f.source: f.lines for f in prepared.report.errors}

    assert (len(prepared.train), len(prepared.validation), len(prepared.held_out)) == (60, 2, 2)
    assert overlaps == {"choose.jsonl": (2,), "held.jsonl": (2,)}


def test_chats_unrolled_turn_by_turn_leak_nothing_and_the_report_says_how_they_were_split(
    data: Path, tokenizer_folder: Path
) -> None:
    rows: list[JsonRow] = []
    for chat in range(40):
        messages: list[JsonRow] = []
        for turn in range(4):
            messages += [
                {"role": "user", "content": f"q {chat}.{turn}"},
                {"role": "assistant", "content": f"a {chat}.{turn}"},
            ]
            rows.append({"messages": list(messages)})
    prepared = prepare(config(write_jsonl(data, rows), tokenizer_folder), tokenizer_folder)
    chats = [
        {sample.row.turns[0].content for sample in part}
        for part in (prepared.train, prepared.validation, prepared.held_out)
    ]
    report = prepared.report.to_json()

    assert [len(part) for part in chats] == [36, 2, 2]
    assert len(set().union(*chats)) == 40
    assert prepared.report.counts["groups"] == 40
    assert report["split"] == prepared.split
    assert "144 rows to train on, 8 to choose the adapter on, 8 to report on" in prepared.report.lines()[-1]
    assert "REPEATED_ANSWER" in by_code(prepared)


def test_a_greeting_of_every_chat_is_named_and_not_scored(data: Path, tokenizer_folder: Path) -> None:
    hello = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    asked = [{"messages": [*hello, *chat_row(f"{n}", f"{n}")["messages"]]} for n in range(60)]  # type: ignore[misc]
    prepared = prepare(config(write_jsonl(data, asked), tokenizer_folder), tokenizer_folder)

    assert "COMMON_PROMPT" in by_code(prepared)
    assert max(s.learnt for s in prepared.held_out) < min(s.learnt for s in prepared.train)


def test_where_only_one_family_can_be_held_out_nothing_is_chosen_on_it(
    data: Path, tokenizer_folder: Path
) -> None:
    rows = [chat_row("same", f"{n}") for n in range(55)] + [chat_row("other", "x")]
    prepared = prepare(config(write_jsonl(data, rows), tokenizer_folder), tokenizer_folder)

    assert (len(prepared.validation), len(prepared.held_out)) == (0, 1)
    assert by_code(prepared)["NO_VALIDATION"].severity is Severity.WARNING
    assert prepared.hyperparameters is not None
    assert not prepared.hyperparameters.until_rest


def test_rows_that_all_share_their_prompt_need_a_file_to_be_reported_on(
    data: Path, tokenizer_folder: Path
) -> None:
    rows = [chat_row("same", f"{n}") for n in range(60)]
    prepared = prepare(config(write_jsonl(data, rows), tokenizer_folder), tokenizer_folder)

    assert "--held-out" in by_code(prepared)["NO_HELD_OUT"].message


def test_an_empty_file_is_refused_without_a_crash(data: Path, tokenizer_folder: Path) -> None:
    data.write_text("")
    found = by_code(prepare(config(data, tokenizer_folder), tokenizer_folder))

    assert "TOO_FEW_ROWS" in found


def test_prompts_can_be_put_through_the_chat_template(data: Path, tokenizer_folder: Path) -> None:
    rows = [{"prompt": f"p{n}", "completion": "c"} for n in range(60)]
    write_jsonl(data, rows)
    as_written = prepare(config(data, tokenizer_folder), tokenizer_folder)
    as_chat = prepare(config(data, tokenizer_folder, rendering="chat"), tokenizer_folder)

    assert as_written.train[0].row.raw
    assert not as_chat.train[0].row.raw
    assert len(as_chat.train[0].ids) > len(as_written.train[0].ids)


def test_the_same_data_prepares_the_same(data: Path, tokenizer_folder: Path) -> None:
    settings = config(write_jsonl(data, chat_rows(100)), tokenizer_folder)

    assert prepare(settings, tokenizer_folder) == prepare(settings, tokenizer_folder)


def test_checking_loads_no_torch(data: Path, tokenizer_folder: Path) -> None:
    write_jsonl(data, chat_rows(100))
    script = (
        "import sys; from pathlib import Path; from parfocal.training import TrainConfig, check; "
        f"check(TrainConfig(Path({str(data)!r}), 'small', {str(tokenizer_folder)!r})); "
        "print([m for m in ('torch', 'peft', 'trl', 'bitsandbytes') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)

    assert (done.stdout.strip(), done.stderr) == ("[]", "")


def test_a_setting_out_of_range_is_refused_before_the_data_is_read(
    data: Path, tokenizer_folder: Path
) -> None:
    with pytest.raises(InvalidConfig, match="rank is 0"):
        check(config(data, tokenizer_folder, rank=0))


def test_a_missing_file_is_named(data: Path, tokenizer_folder: Path) -> None:
    with pytest.raises(DataUnreadable, match="No such file"):
        check(config(data, tokenizer_folder))


def test_a_base_without_a_tokenizer_is_unfit(data: Path, tmp_path: Path) -> None:
    write_jsonl(data, chat_rows(100))
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "config.json").write_text('{"model_type": "llama"}')

    with pytest.raises(BaseUnfit, match="no tokenizer"):
        check(config(data, tmp_path / "base"))


def test_a_tokenizer_of_a_model_that_nobody_knows_is_named(data: Path, tmp_path: Path) -> None:
    write_jsonl(data, chat_rows(100))
    base = tmp_path / "base"
    configurations()["llama"].save_pretrained(base)
    byte_tokenizer().save_pretrained(base)
    file = base / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model": {"type": "Trie", "vocab": {}}}))

    with pytest.raises(BaseUnfit, match=r"its model\.type is 'Trie'"):
        check(config(data, base))


def test_training_warns_of_what_should_not_be_taught_and_of_balance(
    data: Path, tokenizer_folder: Path
) -> None:
    rows: list[JsonRow] = [chat_row(f"{n}", "yes" if n % 30 else "no") for n in range(90)]
    rows[4] = chat_row("write to ann@corp.com", "yes")
    found = by_code(prepare(config(write_jsonl(data, rows), tokenizer_folder), tokenizer_folder))

    assert found["EMAIL"].lines == (5,)
    assert found["LABEL_IMBALANCE"].severity is Severity.WARNING


def test_training_notes_rows_that_are_nearly_an_earlier_one(data: Path, tokenizer_folder: Path) -> None:
    texts = [" ".join(f"{n * k * 7919 % 99991:x}" for k in range(1, 24)) for n in range(1, 61)]
    near = [f"{texts[3]} {at}" for at in range(6)]
    rows = [chat_row(text, "yes") for text in (*texts, *near)]
    found = by_code(prepare(config(write_jsonl(data, rows), tokenizer_folder), tokenizer_folder))

    assert found["ALIKE"].severity is Severity.NOTE
    assert set(found["ALIKE"].lines) <= set(range(61, 67))


def test_a_version_records_each_finding_with_its_first_lines(data: Path, tokenizer_folder: Path) -> None:
    rows = [chat_row(f"{n} ann@corp.com", f"{n}") for n in range(60)]
    report = prepare(config(write_jsonl(data, rows), tokenizer_folder), tokenizer_folder).report
    findings = report.summary()["findings"]

    assert report.summary()["counts"] == report.counts
    assert isinstance(findings, list)
    assert {
        "severity": "warning",
        "code": "EMAIL",
        "count": 60,
        "source": "data.jsonl",
        "lines": [1, 2, 3, 4, 5],
    } in findings
    assert len(json.dumps(report.summary())) < 4096
