"""`parfocal plan`: every choice with its reason and an estimate, for people and for machines."""

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import Result

Run = Callable[..., Result]


def rows(folder: Path) -> Path:
    data = folder / "rows.jsonl"
    found = [{"prompt": f"say {n} ", "completion": f"{n} it is"} for n in range(200)]
    data.write_text("".join(json.dumps(row) + "\n" for row in found), "utf-8")
    return data


def test_a_plan_is_told_before_anything_runs(run: Run, tmp_path: Path) -> None:
    result = run("plan", "--data", rows(tmp_path), "--name", "team/invoices")

    assert result.exit_code == 0, result.output
    told = {line.split()[0]: line for line in result.stdout.splitlines()}
    assert {
        "rank",
        "alpha",
        "learning_rate",
        "schedule",
        "warmup_steps",
        "steps",
        "batch_size",
    } <= told.keys()
    assert {"tokens", "memory", "time"} <= told.keys()
    assert "hidden size 256" in told["learning_rate"]


def test_a_plan_as_json_has_reasons_and_numbers(run: Run, tmp_path: Path) -> None:
    result = run("plan", "--data", rows(tmp_path), "--name", "team/invoices", "--set", "rank=8", "--json")

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    rank = next(choice for choice in found["choices"] if choice["name"] == "rank")
    assert (rank["value"], rank["reason"]) == (8, "as given")
    assert found["estimate"]["memory_bytes"]["total"] > found["estimate"]["memory_bytes"]["activations"] > 0
    assert found["estimate"]["tokens"]["learnt"] > 0
