"""push, pull, ls, show, alias, rollback, rm and gc against a folder registry."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

Run = Callable[..., Result]


def _json(run: Run, *arguments: object) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def _refusal(result: Result) -> str:
    """Returns the one line on stderr of a command that ended with a domain error."""
    assert result.exit_code == 1, result.output
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("parfocal: ")
    return lines[0]


def test_push_publishes_a_version_and_names_its_digest(
    run: Run, small_base: Path, adapter_folder: Callable[[int], Path], registry: Path
) -> None:
    result = run("push", adapter_folder(1), "team/invoices", "--base", small_base)

    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("team/invoices@1  sha256:")


def test_push_without_a_base_reads_the_one_that_the_configuration_names(
    run: Run, tmp_path: Path, small_base: Path, adapter_folder: Callable[[int], Path], registry: Path
) -> None:
    folder = adapter_folder(1)
    config = folder / "adapter_config.json"
    config.write_text(config.read_text().replace('"small-base"', json.dumps(str(small_base))))

    version = _json(run, "push", folder, "team/invoices")

    assert version["manifest"]["contract"]["base"]["verified"] is True


def test_push_of_an_adapter_whose_base_cannot_be_seen_is_refused_with_advice(
    run: Run, adapter_folder: Callable[[int], Path], registry: Path
) -> None:
    assert "--unverified-base" in _refusal(run("push", adapter_folder(1), "team/invoices"))


def test_push_can_leave_the_base_unverified(
    run: Run, adapter_folder: Callable[[int], Path], registry: Path
) -> None:
    version = _json(run, "push", adapter_folder(1), "team/invoices", "--unverified-base")

    assert version["manifest"]["contract"]["base"]["verified"] is False
    assert "not verified" in run("show", "team/invoices").stdout


def test_push_says_what_was_noticed(
    run: Run, small_base: Path, adapter_folder: Callable[[int], Path], registry: Path
) -> None:
    result = run("push", adapter_folder(0), "team/idle", "--base", small_base)

    assert result.exit_code == 0
    assert result.stderr.startswith("warning: ")
    assert "Warnings" in run("show", "team/idle").stdout


def test_ls_lists_adapters_with_their_aliases(run: Run, published: Path) -> None:
    header, row = run("ls").stdout.splitlines()

    assert header.split() == ["ADAPTER", "LATEST", "VERSIONS", "ALIASES", "UPDATED"]
    assert row.split()[:4] == ["team/invoices", "2", "2", "prod→1"]


def test_ls_lists_the_versions_of_one_adapter(run: Run, published: Path) -> None:
    _, newest, oldest = run("ls", "team/invoices").stdout.splitlines()

    assert newest.split()[0] == "2"
    assert oldest.split()[0] == "1"
    assert "prod" in oldest.split()


def test_ls_answers_machines_in_json(run: Run, published: Path) -> None:
    (adapter,) = _json(run, "ls")["adapters"]
    versions = _json(run, "ls", "team/invoices")["versions"]

    assert (adapter["name"], adapter["latest_version"], adapter["aliases"]["prod"]) == ("team/invoices", 2, 1)
    assert adapter["created_at"].endswith("Z")
    assert [version["version"] for version in versions] == [2, 1]


def test_ls_reads_every_page(
    run: Run, small_base: Path, adapter_folder: Callable[[int], Path], registry: Path
) -> None:
    folder = adapter_folder(1)
    for number in range(103):
        assert run("push", folder, f"team/a{number}", "--unverified-base").exit_code == 0

    assert len(_json(run, "ls")["adapters"]) == 103


def test_a_registry_that_does_not_exist_is_refused_and_not_made(run: Run, registry: Path) -> None:
    for arguments in (("ls",), ("show", "team/invoices"), ("alias", "team/invoices", "prod", 1), ("gc",)):
        assert str(registry) in _refusal(run(*arguments))

    assert not registry.exists()


def test_show_tells_contract_origin_and_history(run: Run, published: Path) -> None:
    shown = run("show", "team/invoices@prod").stdout

    for expected in (
        "team/invoices@1",
        "small-base",
        "bitsandbytes-nf4",
        "q_proj, v_proj",
        "none → 1",
        "ann",
    ):
        assert expected in shown


def test_show_answers_machines_in_json(run: Run, published: Path) -> None:
    shown = _json(run, "show", "team/invoices@1")

    assert [alias["alias"] for alias in shown["aliases"]] == ["prod"]
    assert [
        (move["previous_version"], move["version"], move["actor"]) for move in shown["alias_history"]
    ] == [(0, 1, "ann")]
    assert {file["path"] for file in shown["manifest"]["files"]} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }


def test_pull_copies_a_version_that_can_be_pushed_again(run: Run, published: Path, tmp_path: Path) -> None:
    target = tmp_path / "copies" / "invoices"

    result = run("pull", "team/invoices@1", target)

    assert result.stdout == f"team/invoices@1 is in {target}\n"
    again = _json(run, "push", target, "team/invoices", "--base", tmp_path / "small-base")
    assert again["version"] == 1


def test_pull_never_writes_into_an_existing_folder(run: Run, published: Path, tmp_path: Path) -> None:
    target = tmp_path / "mine"
    target.mkdir()

    assert str(target) in _refusal(run("pull", "team/invoices", target))
    assert list(target.iterdir()) == []


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


def test_gc_says_what_it_would_free_and_then_frees_it(run: Run, published: Path) -> None:
    run("rm", "team/invoices@2", "--yes")

    planned = _json(run, "gc", "--dry-run")
    freed = _json(run, "gc")
    nothing = run("gc")

    assert planned["dry_run"] is True
    assert planned["freed_bytes"] == freed["freed_bytes"] > 0
    assert nothing.stdout == "Freed 0 B: 0 files and 0 local copies\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("show", "team/absent"), "team/absent"),
        (("show", "team/invoices@9"), "9"),
        (("show", "team/invoices@beta"), "beta"),
        (("show", "../etc/passwd"), "name"),
        (("show", "team/invo\u0131ces"), "U+0131"),
        (("ls", "team/absent"), "team/absent"),
        (("log", "team/absent"), "team/absent"),
        (("log", "team/invoices", "beta"), "beta"),
        (("pull", "team/absent", "here"), "team/absent"),
        (("alias", "team/invoices", "latest", 1), "latest"),
        (("alias", "team/invoices", "prod", 9), "9"),
        (("rollback", "team/invoices", "prod"), "prod"),
        (("rollback", "team/invoices", "beta"), "beta"),
        (("rm", "team/invoices@9", "--yes"), "9"),
        (("push", "absent-folder", "team/invoices"), "absent-folder"),
    ],
)
def test_a_domain_error_is_one_line_and_exit_code_1(
    run: Run, published: Path, arguments: tuple[object, ...], expected: str
) -> None:
    assert expected in _refusal(run(*arguments))


@pytest.mark.parametrize(
    "arguments",
    [
        ("alias", "team/invoices", "prod"),
        ("alias", "team/invoices", "prod", "1", "--delete"),
        ("alias", "team/invoices", "prod", "one"),
        ("ls", "--jsno"),
        ("lst",),
    ],
)
def test_a_mistake_in_usage_is_exit_code_2(run: Run, arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2
