"""`parfocal train`: its flags are the fields of the configuration; bad data is told before anything loads."""

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from typer.testing import Result

from parfocal.cli.commands.train import FIELDS
from parfocal.training import TrainConfig

Run = Callable[..., Result]


def test_every_field_of_the_configuration_has_a_flag_with_help() -> None:
    assert {flag.name for flag in FIELDS} == {field.name for field in fields(TrainConfig)}
    assert all(flag.help.endswith(".") for flag in FIELDS)


def test_the_defaults_in_the_help_are_those_of_the_configuration() -> None:
    helps = {flag.name: flag.help for flag in FIELDS}
    for field in fields(TrainConfig):
        default = field.default
        if isinstance(default, int | float | str) and not isinstance(default, bool) and field.name != "name":
            shown = f"{default:g}" if isinstance(default, float) else str(default)
            assert f"Default: {shown}" in helps[field.name], field.name


def test_data_and_name_are_needed(run: Run) -> None:
    for arguments in ((), ("--data", "rows.jsonl"), ("--name", "team/invoices")):
        assert run("train", *arguments).exit_code == 2


def test_missing_data_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("train", "--data", tmp_path / "absent.jsonl", "--name", "team/invoices", "--check")

    assert result.exit_code == 1
    assert "absent.jsonl" in result.stderr.splitlines()[-1]


def test_a_setting_out_of_range_is_one_line(run: Run, tmp_path: Path) -> None:
    result = run("train", "--data", tmp_path / "x.jsonl", "--name", "team/invoices", "--rank", 9999)

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("parfocal: rank is 9999")


def test_check_names_the_lines_at_fault_and_trains_nothing(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "c"\n', "utf-8")

    result = run("train", "--data", data, "--name", "team/invoices", "--check")

    assert result.exit_code == 1
    assert "line 2" in result.stdout
    assert result.stderr.splitlines()[-1].startswith("parfocal: rows.jsonl:")


def test_check_shows_the_choices(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"say {n} ", "completion": f"{n} it is"} for n in range(200)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")

    result = run("train", "--data", data, "--name", "team/invoices", "--rank", 8, "--check", "--json")

    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["choices"]["rank"] == 8


def test_resuming_wants_to_know_which_run(run: Run, tmp_path: Path) -> None:
    assert run("train", "--resume").exit_code == 2

    result = run("train", "--resume", "--output", tmp_path)

    assert result.exit_code == 1
    assert str(tmp_path) in result.stderr


def test_settings_come_from_a_file_a_pair_and_a_flag(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    rows = [{"prompt": f"say {n} ", "completion": f"{n} it is"} for n in range(200)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    file = tmp_path / "settings.toml"
    file.write_text(f'data = "{data}"\nname = "team/invoices"\nrank = 2\nalpha = 3\nseed = 4\n', "utf-8")

    result = run("train", "--settings", file, "--set", "alpha=5", "--rank", 8, "--check", "--json")

    assert result.exit_code == 0, result.output
    choices = json.loads(result.stdout)["choices"]
    assert (choices["rank"], choices["alpha"]) == (8, 5)


def test_an_unknown_setting_is_one_line_that_names_the_nearest(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_text("rnk = 8", "utf-8")

    result = run("train", "--settings", file)

    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith("the nearest one is rank")
