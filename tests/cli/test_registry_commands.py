"""push, pull, ls, show and gc against a folder registry, and mistakes in every command."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.command_results import Run
from fakes.command_results import json_of as _json
from fakes.command_results import refusal_of as _refusal


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


@pytest.fixture
def namespaces(run: Run, small_base: Path, adapter_folder: Callable[[int], Path], published: Path) -> Path:
    """Beside team/invoices: another of its namespace, one of none, one of a namespace of that name."""
    for fill, name in ((3, "team/mail"), (4, "alone"), (5, "alone/inner"), (6, "teams/other")):
        assert run("push", adapter_folder(fill), name, "--base", small_base).exit_code == 0
    return published


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("team", ["team/invoices", "team/mail"]),
        ("team/", ["team/invoices", "team/mail"]),
        ("alone/", ["alone/inner"]),
        ("default", ["alone"]),
        ("default/", ["alone"]),
    ],
)
def test_ls_lists_the_adapters_of_a_namespace(
    run: Run, namespaces: Path, word: str, names: list[str]
) -> None:
    listed = [row.split()[0] for row in run("ls", word).stdout.splitlines()[1:]]

    assert listed == names
    assert [adapter["name"] for adapter in _json(run, "ls", word)["adapters"]] == names


def test_ls_takes_a_word_that_is_both_for_the_adapter(run: Run, namespaces: Path) -> None:
    (version,) = _json(run, "ls", "alone")["versions"]

    assert (version["name"], version["version"]) == ("alone", 1)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("nobody", "'nobody' is neither an adapter nor a namespace"),
        ("nobody/", "'nobody/' is not a namespace with adapters"),
        ("tea", "'tea' is neither"),
        ("team/nobody", "no adapter is named 'team/nobody'"),
    ],
)
def test_ls_of_what_does_not_exist_says_what_was_looked_for(
    run: Run, namespaces: Path, word: str, says: str
) -> None:
    assert says in _refusal(run("ls", word))


def test_push_says_when_the_content_was_published_before(
    run: Run, small_base: Path, adapter_folder: Callable[[int], Path], published: Path
) -> None:
    again = run("push", adapter_folder(1), "team/invoices", "--base", small_base)
    new = run("push", adapter_folder(3), "team/invoices", "--base", small_base)
    elsewhere = run("push", adapter_folder(1), "team/mail", "--base", small_base)

    assert again.stdout.startswith("team/invoices@1  sha256:")
    assert again.stdout.rstrip().endswith("nothing new: this content was published before")
    assert "nothing new" not in new.stdout + elsewhere.stdout
    assert new.stdout.startswith("team/invoices@3  ")


def test_push_tells_machines_whether_the_version_is_new(
    run: Run, small_base: Path, adapter_folder: Callable[[int], Path], published: Path
) -> None:
    pushed = [
        _json(run, "push", adapter_folder(fill), "team/invoices", "--base", small_base)
        for fill in (1, 2, 3, 3)
    ]

    told = [(version["version"], version["is_new"]) for version in pushed]
    assert told == [(1, False), (2, False), (3, True), (3, False)]


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


@pytest.mark.parametrize("place", ["/proc/pulled", "/proc/pulled/deeper"])
def test_pull_names_the_folder_that_was_asked_for_when_it_cannot_be_made(
    run: Run, published: Path, place: str
) -> None:
    result = run("pull", "team/invoices", place, "--registry", published)

    assert result.exit_code == 1
    assert result.stderr.startswith(f"parfocal: {place}: ")
    assert "partial" not in result.stderr
    assert "can be written" in result.stderr


@pytest.mark.parametrize("base", [(), ("--base", "tiny"), ("--unverified-base",)])
def test_push_of_a_folder_that_is_not_there_says_so(
    run: Run, registry: Path, tmp_path: Path, base: tuple[str, ...]
) -> None:
    absent = tmp_path / "absent"
    result = run("push", absent, "team/x", "--registry", registry, *base)

    assert result.exit_code == 1
    assert f"there is no folder {absent}; give the folder" in result.stderr


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
