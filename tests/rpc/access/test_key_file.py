"""The file of keys: what is written, who may write it, and what happens to lines that are no key."""

import json
import os
import stat
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.key_files import NOW, given_key, id_of
from parfocal.rpc.access import KeyFileInvalid, KeyNotFound, Scope, add_key, read_keys, remove_key


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


def test_the_file_has_no_secret_and_is_its_owners_alone(path: Path) -> None:
    text = given_key(path, "generate:team/*", name="ci")

    secret = text.split("_")[2]
    assert secret not in path.read_text() and len(secret) == 64
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    [key] = read_keys(path).keys.values()
    assert (key.id, key.name, key.scopes) == (id_of(text), "ci", (Scope.parse("generate:team/*"),))


def test_keys_are_added_and_removed_one_by_one(path: Path) -> None:
    first, second = given_key(path, "read"), given_key(path, "admin", expires=NOW + timedelta(days=1))

    assert list(read_keys(path).keys) == [id_of(first), id_of(second)]
    assert remove_key(path, id_of(first)).id == id_of(first)
    [left] = read_keys(path).keys.values()
    assert (left.id, left.expires) == (id_of(second), NOW + timedelta(days=1))
    with pytest.raises(KeyNotFound, match="parfocal keys ls"):
        remove_key(path, id_of(first))


def test_keys_added_at_the_same_time_are_all_there(path: Path) -> None:
    threads = [threading.Thread(target=given_key, args=(path, "read")) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(read_keys(path).keys) == 8
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_refused_with_what_to_do(path: Path, mode: int) -> None:
    given_key(path, "admin")
    path.chmod(mode)

    with pytest.raises(KeyFileInvalid, match="chmod go-w"):
        read_keys(path)
    with pytest.raises(KeyFileInvalid, match="chmod go-w"):
        given_key(path, "read")


@pytest.mark.parametrize(("mode", "others"), [(0o600, False), (0o400, False), (0o640, False), (0o644, True)])
def test_a_file_that_others_may_only_read_is_used_and_told_of(path: Path, mode: int, others: bool) -> None:
    given_key(path, "admin")
    path.chmod(mode)

    assert read_keys(path).others_read is others


def test_a_change_leaves_mode_and_links_as_they_are(path: Path, tmp_path: Path) -> None:
    given_key(path, "read")
    path.chmod(0o640)
    link = tmp_path / "link.jsonl"
    link.symlink_to(path)

    given_key(link, "read")

    assert link.is_symlink() and len(read_keys(path).keys) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


BROKEN = {
    "no JSON": "{",
    "no object": "[1]",
    "an unknown field": '{"id": "0123abcd", "secret": "x"}',
    "no hash": '{"id": "0123abcd", "name": "n", "sha256": "x", "scopes": ["read"], "created": "2026-01-01"}',
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("line", BROKEN.values(), ids=BROKEN)
def test_a_line_that_is_no_key_opens_nothing_and_closes_nothing(path: Path, line: str) -> None:
    text = given_key(path, "read")
    path.write_text(f"{line}\n\n{path.read_text()}")

    found = read_keys(path)

    assert list(found.keys) == [id_of(text)]
    assert len(found.faults) == 1 and found.faults[0].startswith("line 1 is no key")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scopes", []),
        ("scopes", ["everything"]),
        ("scopes", "read"),
        ("name", ""),
        ("name", "a\nb"),
        ("expires", "soon"),
        ("expires", 1),
        ("created", None),
        ("id", "0123ABCD"),
    ],
)
def test_a_field_that_is_not_understood_makes_its_line_no_key(path: Path, field: str, value: object) -> None:
    given_key(path, "read")
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}))

    found = read_keys(path)

    assert found.keys == {} and len(found.faults) == 1


def test_the_second_line_with_an_id_does_not_count(path: Path) -> None:
    given_key(path, "read")
    wider = {**json.loads(path.read_text()), "scopes": ["admin"]}
    path.write_text(f"{path.read_text()}{json.dumps(wider)}\n")

    found = read_keys(path)

    assert [key.scopes for key in found.keys.values()] == [(Scope.parse("read"),)]
    assert "line 2 has the id" in found.faults[0]


def test_a_change_keeps_lines_that_it_does_not_understand(path: Path) -> None:
    first = given_key(path, "read")
    path.write_text(f"{path.read_text()}not a key\n")

    given_key(path, "read")
    remove_key(path, id_of(first))

    assert path.read_text().splitlines()[0] == "not a key"


def test_what_cannot_be_read_is_named(path: Path) -> None:
    with pytest.raises(KeyFileInvalid, match=r"keys\.jsonl cannot be read: No such file.*parfocal keys add"):
        read_keys(path)
    with pytest.raises(KeyFileInvalid, match="cannot be read"):
        read_keys(path.parent)
    with pytest.raises(KeyFileInvalid, match="No such file"):
        remove_key(path, "0123abcd")


def test_a_change_that_fails_leaves_the_old_file_and_nothing_beside_it(path: Path) -> None:
    text = given_key(path, "read")
    before = path.read_bytes()

    with pytest.raises(ValueError, match="printable"):
        add_key(path, "a\nb", (Scope.parse("read"),), None, NOW)

    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]
    assert list(read_keys(path).keys) == [id_of(text)]
