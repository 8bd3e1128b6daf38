"""`parfocal tune`: every flag of a run, what is searched, and one line where something is wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

Run = Callable[..., Result]


def rows(folder: Path, name: str = "rows.jsonl") -> Path:
    data = folder / name
    found = [{"prompt": f"say {n} ", "completion": f"{n} it is"} for n in range(60)]
    data.write_text("".join(json.dumps(row) + "\n" for row in found), "utf-8")
    return data


def test_rows_are_needed_and_given_once(run: Run, tmp_path: Path) -> None:
    assert run("tune").exit_code == 2
    assert run("tune", rows(tmp_path), "--data", rows(tmp_path)).exit_code == 2


def test_resuming_wants_to_know_which_search(run: Run, tmp_path: Path) -> None:
    assert run("tune", "--resume").exit_code == 2
    result = run("tune", "--resume", "--output", tmp_path)

    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--search", "rank=8;16"), "--search sets rank to '8;16'"),
        (("--search", "methd=sft,dpo"), "--search searches methd, no such setting"),
        (("--sampler", "best"), "sampler is 'best'; use one of tpe, random, grid"),
        (("--rank", "8", "--learning-rate", "1e-3"), "learning_rate and rank are given"),
        (("--search", "rank=2,4", "--rank", "8"), "rank is 8, outside of what is searched (2, 4)"),
        (("--trials", "0"), "trials is 0; it must be from 1"),
    ],
)
def test_what_cannot_be_searched_is_one_line_and_leaves_nothing(
    run: Run, tmp_path: Path, flags: tuple[str, ...], words: str
) -> None:
    result = run("tune", rows(tmp_path), "--output", tmp_path / "search", "--no-publish", *flags)

    assert result.exit_code == 1
    assert words in result.stderr.splitlines()[-1]
    assert not (tmp_path / "search").exists()


def test_the_table_of_a_settings_file_is_read_by_the_search_and_left_by_training(
    run: Run, tmp_path: Path
) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f'data = "{rows(tmp_path)}"\nname = "a/b"\n[tune]\nrnk = [8]\n', "utf-8")
    searched = run("tune", "--settings", file)
    trained = run("train", "--settings", file, "--check")

    assert searched.exit_code == 1
    assert f"unknown key rnk in [tune] of {file}; the nearest one is rank" in searched.stderr
    assert trained.exit_code == 0, trained.output


def test_a_small_search_tells_each_trial_and_prints_its_result_as_json(run: Run, tmp_path: Path) -> None:
    data, output = rows(tmp_path, "My Rows.v2.jsonl"), tmp_path / "search"
    flags = ("--steps", 2, "--evaluations", 1, "--batch-size", 4, "--answers", 0, "--no-probes")
    result = run(
        *("tune", data, "--output", output, "--registry", tmp_path / "registry", *flags),
        *("--search", "rank=2,4", "--sampler", "grid", "--json"),
    )

    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["name"] == "my-rows"
    assert found["version"] == 1
    assert [each["settings"] for each in found["search"]["trials"]] == [{"rank": 2}, {"rank": 4}]
    best = found["search"]["trials"][found["search"]["best"] - 1]
    assert best["loss"] == min(each["loss"] for each in found["search"]["trials"])
    assert [line for line in result.stderr.splitlines() if line.startswith("trial 2/2: loss ")]
    assert Path(found["search"]["report"]).is_file()
    again = run("tune", "--resume", "--output", output)
    assert again.exit_code == 1
    assert "all 2 trials" in again.stderr
