"""`parfocal data example`: rows of one of our own jobs, to try everything with."""

import json
from typing import Annotated

import typer

from parfocal.cli.display import say_answer

_MOST_ROWS = 100_000


def example(
    job: Annotated[str, typer.Argument(metavar="emails|memos|tickets", help="Which job.")],
    rows: Annotated[
        int, typer.Option("--rows", metavar="NUMBER", min=1, max=_MOST_ROWS, help="How many rows.")
    ] = 1000,
    seed: Annotated[int, typer.Option("--seed", metavar="NUMBER", help="Same seed, same rows.")] = 0,
    new_wording: Annotated[
        bool,
        typer.Option(
            "--new-wording", help="Only sentences and names that rows without this flag never have."
        ),
    ] = False,
) -> None:
    """Write rows of an example, one JSON object a line.

    emails: a customer's e-mail becomes a JSON record. memos: a note becomes an office memo of 1995.
    tickets: a ticket gets a queue and a priority. All are made up, and no prompt occurs twice.

    Example: parfocal data example emails --rows 3000 --seed 1 > rows.jsonl
    """
    from parfocal.training.examples import JOBS, examples

    if job not in JOBS:
        raise typer.BadParameter(f"{job!r} is none of {', '.join(JOBS)}", param_hint="JOB")
    for row in examples(JOBS[job], rows, seed, "new" if new_wording else "seen"):
        say_answer(json.dumps(row, ensure_ascii=False))
