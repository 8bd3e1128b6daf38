"""`parfocal keys`: the file that a server is given, made and changed by its operator."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import Result

from fakes.key_files import given_key, id_of
from parfocal.rpc.access import KeysInForce, Need, authorise
from parfocal.v1.access import Verb

Run = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that the environment names, as for the server."""
    file = tmp_path / "new" / "keys.jsonl"
    monkeypatch.setenv("PARFOCAL_KEYS", str(file))
    return file


def test_a_key_is_printed_alone_so_that_a_script_can_take_it(run: Run, path: Path) -> None:
    added = run("keys", "add", "ci", "--scope", "publish:team/*", "--scope", "read")

    text = added.stdout.strip()
    assert added.exit_code == 0 and "\n" not in text
    assert f"parfocal serve --keys {path}" in added.stderr
    caller = authorise(KeysInForce(path), f"Bearer {text}", Need(Verb.PUBLISH, "team/invoices"))
    assert (caller.name, list(map(str, caller.scopes))) == ("ci", ["publish:team/*", "read"])


def test_keys_are_listed_without_secrets_and_removed_by_id(run: Run, path: Path) -> None:
    texts = [run("keys", "add", name, "--scope", "generate").stdout.strip() for name in ("ana", "ben")]

    listed = run("keys", "ls")
    assert all(word in listed.stdout for word in ("ana", "ben", id_of(texts[0]), "generate", "never"))
    assert not any(text.split("_")[2] in listed.stdout for text in texts)

    removed = run("keys", "rm", id_of(texts[0]))
    assert "the key of ana" in removed.stdout
    left = json.loads(run("keys", "ls", "--json").stdout)
    assert [key["id"] for key in left["keys"]] == [id_of(texts[1])]


def test_machines_get_json(run: Run, path: Path) -> None:
    added = json.loads(run("keys", "add", "ci", "--scope", "admin", "--expires", "90d", "--json").stdout)

    ends = datetime.fromisoformat(added["expires"]) - datetime.now(UTC)
    assert timedelta(days=89) < ends <= timedelta(days=90)
    assert added["key"].startswith(f"pf_{added['id']}_") and added["file"] == str(path)
    [listed] = json.loads(run("keys", "ls", "--json").stdout)["keys"]
    assert "key" not in listed and listed["expired"] is False
    assert json.loads(run("keys", "rm", added["id"], "--json").stdout)["name"] == "ci"


def test_a_time_in_a_unit_that_is_not_known_is_refused_with_those_that_are(run: Run, path: Path) -> None:
    refused = run("keys", "add", "ci", "--scope", "read", "--expires", "1s")

    assert refused.exit_code == 2
    assert all(unit in refused.stderr for unit in ("m (minutes)", "h (hours)", "d (days)", "w (weeks)"))
    assert not path.exists()


def test_a_key_whose_time_is_over_is_listed_as_that(run: Run, path: Path) -> None:
    path.parent.mkdir()
    given_key(path, "read", expires=datetime(2020, 1, 1, tzinfo=UTC))

    assert "expired" in run("keys", "ls").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ci"], "--scope"),
        (["ci", "--scope", "everything"], "is no scope"),
        (["ci", "--scope", "read:Team/*"], "fits no adapter's name"),
        (["a\nb", "--scope", "read"], "printable"),
        (["ci", "--scope", "read", "--expires", "soon"], "neither a time from now"),
        (["ci", "--scope", "read", "--expires", "2020-01-01"], "has passed"),
        (["ci", "--scope", "read", "--expires", "999999w"], "neither a time from now"),
    ],
)
def test_what_cannot_be_a_key_is_a_usage_error(run: Run, path: Path, arguments: list[str], said: str) -> None:
    refused = run("keys", "add", *arguments)

    assert refused.exit_code == 2
    assert said in " ".join(refused.stderr.replace("│", " ").split())
    assert not path.exists()


def test_a_key_that_is_not_there_and_a_file_that_is_not_are_one_line(run: Run, path: Path) -> None:
    missing = run("keys", "ls")
    run("keys", "add", "ci", "--scope", "read")
    absent = run("keys", "rm", "0123abcd")

    assert (missing.exit_code, absent.exit_code) == (1, 1)
    assert "parfocal keys add makes one" in missing.stderr
    assert "parfocal keys ls shows them" in absent.stderr


def test_a_line_that_is_no_key_is_told_of(run: Run, path: Path) -> None:
    run("keys", "add", "ci", "--scope", "read")
    with path.open("a") as file:
        file.write("what is this\n")

    listed = run("keys", "ls")

    assert listed.exit_code == 0 and "ci" in listed.stdout
    assert "line 2 is no key" in listed.stderr
