"""The demo's data: deterministic, never overlapping, and fully determined by the prompt."""

import json

import pytest

from parfocal.training.examples import datasets, office_memos, support_emails
from parfocal.training.examples.rows import Job, Row

JOBS: tuple[Job, ...] = (support_emails, office_memos)


@pytest.mark.parametrize("job", JOBS)
def test_the_same_seed_gives_the_same_rows_and_another_seed_others(job: Job) -> None:
    assert list(job(20, 1)) == list(job(20, 1))
    assert list(job(20, 1)) != list(job(20, 2))


@pytest.mark.parametrize("job", JOBS)
def test_no_held_out_prompt_is_trained_on(job: Job) -> None:
    made = datasets(job, training=400, held_out=100, seed=0)
    assert (len(made.training), len(made.held_out), len(made.new_wording)) == (400, 100, 100)
    prompts = [row["prompt"] for row in (*made.training, *made.held_out, *made.new_wording)]
    assert len(set(prompts)) == len(prompts)


def test_a_record_holds_what_the_email_says() -> None:
    for row in support_emails(200, 3):
        record = json.loads(row["completion"])
        assert list(record) == ["customer", "order", "product", "issue", "urgent"]
        assert all(record[name] in row["prompt"] for name in ("customer", "order", "product"))


def test_a_memo_holds_what_the_note_says() -> None:
    for row in office_memos(200, 3):
        lines = row["completion"].split("\n")
        assert lines[0] == "MEMORANDUM"
        assert lines[1].removeprefix("TO: ") in row["prompt"]
        assert lines[2].removeprefix("FROM: ") in row["prompt"]
        assert lines[6].removeprefix("Please be advised that ").removesuffix(".") in row["prompt"]


@pytest.mark.parametrize("job", JOBS)
def test_new_wording_is_new(job: Job) -> None:
    def frames(rows: tuple[Row, ...]) -> set[str]:
        return {row["prompt"].split(" ")[0] + row["prompt"].split("\n")[0] for row in rows}

    made = datasets(job, 300, 100, seed=4)
    assert not frames(made.training) & frames(made.new_wording)
