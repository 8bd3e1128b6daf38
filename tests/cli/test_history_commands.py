"""parfocal log --verify and registry log; the flags that narrow lists; gc --grace; how much a push sends."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from fakes.registry.registry_server import serving
from parfocal.registry import FolderRegistry
from parfocal.registry.errors import IndexLost

Run = Callable[..., Result]


def _json(result: Result, exit_code: int = 0) -> Any:
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("command", [("log",), ("registry", "log")])
def test_a_sound_history_is_proved(run: Run, published: Path, command: tuple[str, ...]) -> None:
    found = _json(run(*command, "--verify", "--json"))
    assert (found["events"], found["sound"], found["faults"]) == (3, True, [])
    said = run(*command, "--verify")
    assert said.exit_code == 0
    assert "Read 3 events: all as they were written" in said.stdout
    seal = said.stdout.rpartition(" ")[2].strip()
    assert seal == f"3:{found['last']['hash']}"
    assert run(*command, "--verify", "--against", seal).exit_code == 0


def test_an_event_that_somebody_changed_is_named(run: Run, published: Path) -> None:
    index = sqlite3.connect(published / "index.sqlite", isolation_level=None)
    index.execute("DROP TRIGGER events_are_not_changed")
    index.execute("UPDATE events SET actor = 'eve' WHERE sequence = 2")
    found = _json(run("log", "--verify", "--json"), 1)
    assert [fault["sequence"] for fault in found["faults"]] == [2]
    said = run("log", "--verify")
    assert said.exit_code == 1
    assert "event 2 was changed" in said.stdout
    # The last one is compared with the journal whenever the registry is opened.
    index.execute("UPDATE events SET actor = 'eve' WHERE sequence = 3")
    index.close()
    with pytest.raises(IndexLost, match="different things of change 3"):
        FolderRegistry(published)


def test_a_history_is_proved_through_a_server(run: Run, published: Path, tmp_path: Path) -> None:
    here = _json(run("log", "--verify", "--json"))
    with serving(FolderRegistry(published), tmp_path / "uploads") as address:
        there = _json(run("log", "--verify", "--json", "--registry", f"grpc://{address}"))
    assert there == here


@pytest.mark.parametrize(
    "flags", [("--verify", "team/x"), ("--verify", "--follow"), ("--against", "1:x", "team/x"), ()]
)
def test_flags_of_log_that_do_not_go_together_are_usage_errors(run: Run, flags: tuple[str, ...]) -> None:
    assert run("log", *flags).exit_code == 2


def test_all_that_happened_is_shown_oldest_first(run: Run, published: Path) -> None:
    lines = run("registry", "log").stdout.splitlines()
    assert [line.split("  ")[1] for line in lines] == ["1", "2", "3"]
    events = _json(run("registry", "log", "--json"))["events"]
    assert [event["kind"] for event in events] == ["version_published", "version_published", "alias_set"]
    assert all(event["hash"].startswith("sha256:") for event in events)


@pytest.mark.parametrize(
    ("flags", "versions"),
    [
        (("--base", "small-base"), [2, 1]),
        (("--base", "another"), []),
        (("--alias", "prod"), [1]),
        (("--parent", "team/x@1"), []),
        (("--by", "nobody"), []),
        (("--since", "1h"), [2, 1]),
        (("--until", "2020-01-01"), []),
        (("--since", "2020-01-01T12:00+01:00", "--until", "9999-01-01"), [2, 1]),
    ],
)
def test_lists_show_only_what_meets_their_flags(
    run: Run, published: Path, flags: tuple[str, ...], versions: list[int]
) -> None:
    found = _json(run("ls", "team/invoices", "--json", *flags))["versions"]
    assert [version["version"] for version in found] == versions
    adapters = _json(run("ls", "--json", *flags))["adapters"]
    assert [adapter["name"] for adapter in adapters] == (["team/invoices"] if versions else [])


def test_who_pushed_is_known(run: Run, published: Path, adapter_folder: Callable[[int], Path]) -> None:
    base = published.parent / "small-base"
    run("push", adapter_folder(3), "team/invoices", "--base", base, "--actor", "zoe")
    found = _json(run("ls", "team/invoices", "--json", "--by", "zoe"))["versions"]
    assert [version["version"] for version in found] == [3]


def test_moves_are_narrowed_too(run: Run, published: Path) -> None:
    assert len(_json(run("log", "team/invoices", "--by", "ann", "--json"))["moves"]) == 1
    assert _json(run("log", "team/invoices", "--by", "ben", "--json"))["moves"] == []
    assert _json(run("log", "team/invoices", "--until", "2020-01-01", "--json"))["moves"] == []


@pytest.mark.parametrize("command", [("ls", "--since", "soon"), ("gc", "--grace", "long")])
def test_what_is_no_time_is_a_usage_error(run: Run, published: Path, command: tuple[str, ...]) -> None:
    assert run(*command).exit_code == 2


def test_gc_keeps_what_is_younger_than_its_grace(run: Run, published: Path) -> None:
    assert run("rm", "team/invoices@2", "--yes").exit_code == 0
    assert _json(run("gc", "--json", "--yes", "--grace", "1h"))["blobs"] == 0
    assert _json(run("gc", "--json", "--yes"))["blobs"] == 2


def test_a_push_says_how_much_it_sent(
    run: Run, published: Path, adapter_folder: Callable[[int], Path], tmp_path: Path
) -> None:
    base = published.parent / "small-base"
    with serving(FolderRegistry(published), tmp_path / "uploads") as address:
        there = ("--base", base, "--registry", f"grpc://{address}")
        first = _json(run("push", adapter_folder(7), "team/x", *there, "--json"))
        again = _json(run("push", adapter_folder(7), "team/y", *there, "--json"))
        assert 0 < again["sent_bytes"] < first["sent_bytes"]
        assert " sent" in run("push", adapter_folder(7), "team/y", *there).stdout
    assert "sent" not in run("push", adapter_folder(8), "team/x", "--base", base).stdout
