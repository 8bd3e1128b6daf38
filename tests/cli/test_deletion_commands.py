"""alias, rollback, rm and log against a folder registry."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.command_results import Run
from fakes.command_results import json_of as _json
from fakes.command_results import refusal_of as _refusal


def test_an_alias_moves_with_the_right_expectation(run: Run, published: Path) -> None:
    result = run("alias", "team/invoices", "prod", 2, "--expect", 1)

    assert result.stdout.startswith("team/invoices@prod now means version 2 (sha256:")


def test_a_stale_expectation_does_not_move_an_alias(run: Run, published: Path) -> None:
    _refusal(run("alias", "team/invoices", "prod", 2, "--expect", 2))

    assert _json(run, "show", "team/invoices@prod")["version"] == 1


def test_rollback_takes_an_alias_back_and_keeps_the_history(run: Run, published: Path) -> None:
    run("alias", "team/invoices", "prod", 2)

    result = run("rollback", "team/invoices", "prod", "--actor", "bob")

    assert result.stdout.startswith("team/invoices@prod means version 1 again")
    history = _json(run, "show", "team/invoices")["alias_history"]
    assert [move["version"] for move in history] == [1, 2, 1]
    assert history[0]["actor"] == "bob"


def test_whoever_moves_an_alias_is_named_by_default(run: Run, published: Path) -> None:
    assert "@" in _json(run, "alias", "team/invoices", "prod", 2)["actor"]


def test_rm_deletes_a_version_once_it_was_confirmed(run: Run, published: Path) -> None:
    unasked = run("rm", "team/invoices@2")
    deleted = run("rm", "team/invoices@2", "--yes")

    assert unasked.exit_code == 1
    assert deleted.stdout == "Deleted team/invoices@2\n"
    assert [version["version"] for version in _json(run, "ls", "team/invoices")["versions"]] == [1]


def test_rm_keeps_a_version_that_an_alias_points_at(run: Run, published: Path) -> None:
    assert "prod" in _refusal(run("rm", "team/invoices@1", "--yes"))


@pytest.mark.parametrize("selector", ["prod", "latest"])
def test_rm_wants_a_version_number_or_a_name_alone(run: Run, published: Path, selector: str) -> None:
    assert run("rm", f"team/invoices@{selector}", "--yes").exit_code == 2


def test_rm_of_a_name_deletes_the_adapter_once_it_was_confirmed(run: Run, published: Path) -> None:
    run("alias", "team/invoices", "prod", "--delete")

    unasked = run("rm", "team/invoices")
    deleted = run("rm", "team/invoices", "--yes")

    assert unasked.exit_code == 1
    assert "with 2 versions" in unasked.output
    assert deleted.stdout == "Deleted team/invoices with 2 versions\n"
    assert _json(run, "ls")["adapters"] == []


def test_rm_keeps_an_adapter_that_has_aliases_unless_that_is_said(run: Run, published: Path) -> None:
    assert "prod" in _refusal(run("rm", "team/invoices", "--yes"))

    deleted = run("rm", "team/invoices", "--force", "--yes")

    assert deleted.stdout == "Deleted team/invoices with 2 versions and the alias prod\n"


def test_alias_deletes_an_alias_and_rollback_takes_it_back(run: Run, published: Path) -> None:
    deleted = run("alias", "team/invoices", "prod", "--delete", "--expect", 1, "--actor", "bob")
    back = run("rollback", "team/invoices", "prod", "--expect", 0)

    assert deleted.stdout == "Deleted team/invoices@prod\n"
    assert back.stdout.startswith("team/invoices@prod means version 1 again")
    history = _json(run, "show", "team/invoices")["alias_history"]
    assert [(move["kind"], move["version"]) for move in history] == [
        ("rollback", 1),
        ("delete", 0),
        ("set", 1),
    ]


def test_show_keeps_telling_of_a_deleted_alias(run: Run, published: Path) -> None:
    run("alias", "team/invoices", "prod", "--delete")

    assert "1 → none" in run("show", "team/invoices").stdout


def test_log_tells_every_move_though_all_was_deleted(run: Run, published: Path) -> None:
    run("alias", "team/invoices", "beta", 2, "--actor", "bob")
    run("rm", "team/invoices", "--force", "--yes")

    told = run("log", "team/invoices")
    only = _json(run, "log", "team/invoices", "prod")["moves"]

    assert [line.split()[2] for line in told.stdout.splitlines()[1:]] == ["prod", "beta", "beta", "prod"]
    assert [(move["kind"], move["version"]) for move in only] == [("delete", 0), ("set", 1)]


def test_rollback_that_expects_another_version_moves_nothing(run: Run, published: Path) -> None:
    run("alias", "team/invoices", "prod", 2)

    assert "expected version 1" in _refusal(run("rollback", "team/invoices", "prod", "--expect", 1))


def test_two_people_who_undo_one_bad_move_do_not_undo_two(run: Run, published: Path) -> None:
    run("alias", "team/invoices", "prod", 2)

    first = run("rollback", "team/invoices", "prod", "--actor", "ann")
    second = _refusal(run("rollback", "team/invoices", "prod", "--actor", "bob"))

    assert first.exit_code == 0
    assert "rolled back already, from version 2 to 1" in second and "by ann" in second
    assert _json(run, "show", "team/invoices@prod")["version"] == 1


def test_a_further_rollback_is_made_by_the_command_that_the_refusal_names(
    run: Run, published: Path, small_base: Path, adapter_folder: Callable[[int], Path]
) -> None:
    run("push", adapter_folder(3), "team/invoices", "--base", small_base)
    for version in (2, 3):
        run("alias", "team/invoices", "prod", version)
    run("rollback", "team/invoices", "prod")

    words = _refusal(run("rollback", "team/invoices", "prod")).split("parfocal ")[-1].split()

    assert words == ["rollback", "team/invoices", "prod", "--expect", "2"]
    assert run(*words).stdout.startswith("team/invoices@prod means version 1 again")
    assert run(*words).exit_code == 1


def test_an_alias_that_was_set_again_after_a_rollback_rolls_back(run: Run, published: Path) -> None:
    for words in (("alias", "team/invoices", "prod", 2), ("rollback", "team/invoices", "prod")):
        assert run(*words).exit_code == 0
    run("alias", "team/invoices", "prod", 2)

    assert run("rollback", "team/invoices", "prod").exit_code == 0
