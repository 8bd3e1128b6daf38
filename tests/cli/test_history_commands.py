"""parfocal log --verify and registry log; the flags that narrow lists; gc --grace; how much a push sends."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from fakes.registry.registry_server import serving
from fakes.terminal import on_a_terminal
from parfocal.registry import Evaluation, FolderRegistry, Publication, describe_base, locate_base
from parfocal.registry.errors import IndexLost

Run = Callable[..., Result]


def _json(result: Result, exit_code: int = 0) -> Any:
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize("command", [("log",), ("registry", "log")])
def test_a_sound_history_is_proved(run: Run, published: Path, command: tuple[str, ...]) -> None:
    found = _json(run(*command, "--verify", "--json"))
    assert (found["events"], found["sound"], found["faults"], found["unconfirmed"]) == (3, True, [], 0)
    said = run(*command, "--verify")
    assert said.exit_code == 0
    assert "Read 3 events: all as they were written" in said.stdout
    seal = said.stdout.rpartition(" ")[2].strip()
    assert seal == f"3:{found['last']['hash']}"
    assert run(*command, "--verify", "--against", seal).exit_code == 0


def test_on_a_terminal_it_is_shown_how_far_the_reading_is(published: Path) -> None:
    code, drawn = on_a_terminal("log", "--verify", "--registry", str(published))
    assert (code, "Reading events" in drawn, "3/3" in drawn) == (0, True, True), drawn


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
        (("--search", "VOICES small"), [2, 1]),
        (("--search", "voices large"), []),
        (("--tag", "language:de"), []),
        (("--metric", "f1>=0"), []),
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


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (("--metric", "f1=>0.9"), "has '>0.9' at character 4, where a number must stand"),
        (("--metric", "f1"), "one of >=, <=, >, <, = and !="),
        (("--tag", "No Tag"), "tag 'No Tag' is none; write 1 to 63"),
        (("--search", "a b c d e f g h i"), "search has 9 parts; 8 fit"),
    ],
)
def test_what_no_version_can_have_is_refused(
    run: Run, published: Path, flags: tuple[str, ...], says: str
) -> None:
    for name in ((), ("team/invoices",)):
        refused = run("ls", *name, *flags)
        assert refused.exit_code == (2 if "--metric" in flags else 1)
        assert says in " ".join(refused.stderr.replace("│", " ").split())


def test_tags_that_were_pushed_find_the_version(
    run: Run, published: Path, adapter_folder: Callable[[int], Path]
) -> None:
    pushed = ("push", adapter_folder(3), "team/invoices", "--base", published.parent / "small-base")
    assert run(*pushed, "--tag", "mail", "--tag", "language:de").exit_code == 0
    for flags in (("--tag", "mail", "--tag", "language:de"), ("--search", "LANGUAGE:DE")):
        (found,) = _json(run("ls", "team/invoices", "--json", *flags))["versions"]
        assert (found["version"], found["manifest"]["tags"]) == (3, ["language:de", "mail"])
    assert "tag 'No Tag' is none" in run(*pushed, "--tag", "No Tag").stderr


def test_a_metric_that_is_asked_about_is_shown(
    run: Run, published: Path, adapter_folder: Callable[[int], Path]
) -> None:
    base = describe_base(locate_base(str(published.parent / "small-base"), weights=False))
    scored = Publication(base, evaluation=Evaluation("sha256:rows", 3, {"f1": 0.875}))
    FolderRegistry(published).publish("team/invoices", adapter_folder(3), scored)
    header, row = run("ls", "team/invoices", "--metric", "f1>0.8").stdout.splitlines()
    assert header.split() == ["VERSION", "DIGEST", "ALIASES", "BASE", "SIZE", "f1", "PUBLISHED"]
    assert "0.875" in row.split()


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
