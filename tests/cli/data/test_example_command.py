"""`parfocal data example`: rows that training reads, the same from the same seed."""

import json
from collections.abc import Callable

import pytest
from typer.testing import Result

from parfocal.training.examples import JOBS

Run = Callable[..., Result]


@pytest.mark.parametrize("job", JOBS)
def test_rows_are_json_lines_and_no_prompt_occurs_twice(run: Run, job: str) -> None:
    result = run("data", "example", job, "--rows", 50, "--seed", 3)

    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert (result.exit_code, len(rows)) == (0, 50)
    assert all(row.keys() == {"prompt", "completion"} for row in rows)
    assert len({row["prompt"] for row in rows}) == 50


def test_the_same_seed_writes_the_same_and_other_flags_something_else(run: Run) -> None:
    first = run("data", "example", "tickets", "--rows", 5, "--seed", 3).stdout
    assert first == run("data", "example", "tickets", "--rows", 5, "--seed", 3).stdout
    assert first != run("data", "example", "tickets", "--rows", 5, "--seed", 4).stdout
    assert first != run("data", "example", "tickets", "--rows", 5, "--seed", 3, "--new-wording").stdout


@pytest.mark.parametrize(("arguments", "told"), [(("poems",), "poems"), (("emails", "--rows", 0), "--rows")])
def test_what_cannot_be_made_is_refused(run: Run, arguments: tuple[object, ...], told: str) -> None:
    result = run("data", "example", *arguments)

    assert result.exit_code == 2
    assert told in result.stderr
