"""parfocal registry verify, backup and rebuild, and what gc says of an index that is not whole."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from parfocal.registry import FolderRegistry

Run = Callable[..., Result]


def _json(result: Result, exit_code: int = 0) -> Any:
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


def _weights(registry: Path) -> Path:
    """The largest blob."""
    return max(registry.glob("blobs/sha256/*/*"), key=lambda path: path.stat().st_size)


def _rot(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.unlink()
    path.write_bytes(data)


def test_verify_reads_every_byte_of_every_version(run: Run, published: Path) -> None:
    found = _json(run("registry", "verify", "--json"))

    stored = sum(path.stat().st_size for path in published.glob("blobs/sha256/*/*"))
    assert (found["versions"], found["blobs"], found["bytes"], found["sound"]) == (2, 5, stored, True)
    assert (found["bad"], found["problems"]) == ([], [])
    assert run("registry", "verify").stdout.endswith("all sound\n")


@pytest.mark.parametrize(("spoil", "problem"), [(_rot, "corrupt"), (Path.unlink, "missing")])
def test_verify_names_bad_files_and_the_versions_that_need_them(
    run: Run, published: Path, spoil: Callable[[Path], None], problem: str
) -> None:
    weights = _weights(published)
    spoil(weights)

    found = _json(run("registry", "verify", "--json"), exit_code=1)
    told = run("registry", "verify")

    assert [(bad["digest"], bad["problem"]) for bad in found["bad"]] == [(f"sha256:{weights.name}", problem)]
    assert len(found["bad"][0]["versions"]) == 1
    assert found["bad"][0]["versions"][0].startswith("team/invoices@")
    assert f"{problem}: sha256:{weights.name}" in told.stdout
    assert told.exit_code == 1
    assert told.stderr.startswith("parfocal: ")


def test_usage_tells_what_a_namespace_holds_without_a_quota_here(run: Run, published: Path) -> None:
    (held,) = _json(run("registry", "usage", "--json"))["namespaces"]

    files = {path.name: path.stat().st_size for path in published.glob("blobs/sha256/*/*")}
    assert (held["name"], held["adapters"], held["versions"]) == ("team", 1, 2)
    assert 0 < held["bytes"] < sum(files.values()), "manifests do not count"
    assert (held["max_bytes"], held["max_versions"]) == (None, None)
    heading, line = run("registry", "usage").stdout.splitlines()
    assert heading.split() == ["NAMESPACE", "ADAPTERS", "VERSIONS", "SIZE"]
    assert line.split()[:3] == ["team", "1", "2"]


def test_a_backup_is_a_registry(run: Run, published: Path, tmp_path: Path) -> None:
    target = tmp_path / "backups" / "monday"

    made = run("registry", "backup", target)

    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("2 versions and 1 alias ")
    assert _json(run("ls", "--registry", target, "--json")) == _json(run("ls", "--json"))
    assert run("registry", "verify", "--registry", target).exit_code == 0


def test_a_backup_never_goes_into_a_folder_that_holds_something(
    run: Run, published: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")

    refused = run("registry", "backup", tmp_path / "mine")

    assert refused.exit_code == 1
    assert "new folder" in refused.stderr
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_a_backup_of_what_is_not_whole_says_so(run: Run, published: Path, tmp_path: Path) -> None:
    _weights(published).unlink()

    made = run("registry", "backup", tmp_path / "copy")

    assert made.exit_code == 1
    assert "missing: sha256:" in made.stdout


def test_a_lost_index_is_rebuilt_by_the_command_that_the_refusal_names(run: Run, published: Path) -> None:
    before = _json(run("ls", "--json"))
    (published / "index.sqlite").write_bytes(b"")

    refused = run("gc")
    command = refused.stderr.split("parfocal ")[-1].split()

    assert refused.exit_code == 1
    assert command == ["registry", "rebuild", str(published)]
    assert run(*command).exit_code == 0
    assert _json(run("ls", "--json")) == before
    assert run("gc").stdout == "Freed 0 B: 0 files and 0 local copies\n"


def test_rebuild_answers_machines_in_json(run: Run, published: Path) -> None:
    (published / "index.sqlite").unlink()

    told = _json(run("registry", "rebuild", published, "--json"))

    assert told == {"versions": 2, "aliases": 1, "lost": [], "recovered": [], "set_aside": []}


def test_gc_frees_local_copies_if_asked(run: Run, published: Path, tmp_path: Path) -> None:
    run("pull", "team/invoices@1", tmp_path / "pulled")

    assert _json(run("gc", "--json"))["folders"] == 0
    assert _json(run("gc", "--copies", "--json"))["folders"] == 1


@pytest.mark.parametrize("command", [("gc",), ("registry", "verify"), ("registry", "backup", "x")])
def test_what_needs_the_storage_says_so_of_a_server(run: Run, command: tuple[str, ...]) -> None:
    refused = run(*command, "--registry", "grpc://127.0.0.1:1")

    assert refused.exit_code == 2
    assert "machine" in refused.output


def test_gc_asks_before_it_frees_more_than_half(run: Run, published: Path) -> None:
    run("rm", "team/invoices", "--force", "--yes")
    there = sorted(published.glob("blobs/**/*"))

    held = run("gc")
    told = _json(run("gc", "--json"))
    command = held.stderr.split("; ")[-1].split()

    assert held.exit_code == 0
    assert held.stdout.startswith("Would free ")
    assert "more than half" in held.stderr
    assert told["dry_run"] is True
    assert sorted(published.glob("blobs/**/*")) == there
    assert command[:3] == ["parfocal", "gc", "--yes"]
    assert run(*command[1:3]).stdout.startswith("Freed ")
    assert list(published.glob("blobs/sha256/*/*")) == []


def test_an_index_is_not_rebuilt_while_somebody_uses_it(run: Run, published: Path) -> None:
    user = FolderRegistry(published)

    refused = run("registry", "rebuild", published)

    assert refused.exit_code == 1
    assert "stop what uses it" in refused.stderr
    del user
    assert run("registry", "rebuild", published).exit_code == 0
