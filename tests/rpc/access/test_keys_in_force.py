"""The keys that a running server lets in: who shows which, and what changes while it runs."""

import logging
import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.key_files import NOW, given_key, id_of
from parfocal.rpc import current_caller
from parfocal.rpc.access import (
    ANYBODY,
    NOBODY,
    KeyExpired,
    KeyFileInvalid,
    KeyMissing,
    KeyRevoked,
    KeysInForce,
    KeyUnknown,
    Need,
    Scope,
    ScopeMissing,
    authorise,
    remove_key,
)
from parfocal.v1.access import Verb

GENERATE = Need(Verb.GENERATE, "team/invoices")


@dataclass
class Clock:
    """Time that passes when a test says so: seconds of the machine, and the calendar's."""

    seconds: float = 0.0

    def __call__(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


def opened(path: Path, clock: Clock) -> KeysInForce:
    return KeysInForce(path, clock.now, clock)


def test_who_shows_a_key_is_who_it_was_made_for(path: Path) -> None:
    text = given_key(path, "generate:team/*", name="ci")

    caller = authorise(opened(path, Clock()), f"Bearer {text}", GENERATE)

    assert (caller.key_id, caller.name) == (id_of(text), "ci")


@pytest.mark.parametrize("scheme", ["bearer", "BEARER", "Bearer  "])
def test_the_scheme_is_read_as_http_reads_it(path: Path, scheme: str) -> None:
    text = given_key(path, "generate")

    assert authorise(opened(path, Clock()), f"{scheme} {text}", GENERATE).key_id == id_of(text)


def test_what_is_no_key_of_the_server_is_refused_without_repeating_it(path: Path, tmp_path: Path) -> None:
    text = given_key(path, "admin")
    foreign = given_key(tmp_path / "other.jsonl", "admin")
    keys = opened(path, Clock())
    changed = text[:-1] + ("0" if text[-1] != "0" else "1")

    for shown in (changed, foreign, text.upper(), f"{text} x", "sk-123", "", "pf__", "\x00", text[:-1]):
        with pytest.raises(KeyUnknown) as refused:
            authorise(keys, f"Bearer {shown}", GENERATE)
        assert shown.split("_")[-1] == "" or shown.split("_")[-1] not in str(refused.value)
        assert refused.value.status == "UNAUTHENTICATED"


@pytest.mark.parametrize("shown", [None, "", "Basic dXNlcjpwYXNz", "Bearer"])
def test_without_a_bearer_token_the_advice_says_how_to_show_one(path: Path, shown: str | None) -> None:
    given_key(path, "admin")

    with pytest.raises((KeyMissing, KeyUnknown), match=r"authorization: Bearer pf_….*parfocal keys add"):
        authorise(opened(path, Clock()), shown, GENERATE)


@given(st.text(max_size=80))
def test_no_text_but_the_key_opens_anything(text: str) -> None:
    keys = _SHARED[0]

    with pytest.raises((KeyMissing, KeyUnknown)):
        authorise(keys, text, Need(Verb.ANY))


_SHARED: list[KeysInForce] = []


@pytest.fixture(scope="module", autouse=True)
def shared(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keys for properties, opened once."""
    path = tmp_path_factory.mktemp("shared") / "keys.jsonl"
    given_key(path, "admin")
    _SHARED[:] = [KeysInForce(path)]


def test_a_key_without_the_scope_is_told_what_it_has_and_what_it_needs(path: Path) -> None:
    text = given_key(path, "generate:other/*", "read", name="ci")

    with pytest.raises(ScopeMissing) as refused:
        authorise(opened(path, Clock()), f"Bearer {text}", GENERATE)

    assert refused.value.status == "PERMISSION_DENIED"
    assert refused.value.metadata == {"key": id_of(text), "scope": "generate:team/invoices"}
    assert "may do generate:other/*, read, and this needs generate:team/invoices" in str(refused.value)


def test_what_is_open_takes_no_key(path: Path) -> None:
    given_key(path, "admin")

    assert authorise(opened(path, Clock()), None, Need(Verb.OPEN)) is NOBODY


def test_where_there_are_no_keys_anybody_may_do_anything() -> None:
    assert authorise(None, None, Need(Verb.ADMIN)) is ANYBODY
    assert authorise(None, "Bearer whatever", Need(Verb.ADMIN)) is ANYBODY


def test_outside_any_request_nobody_calls() -> None:
    assert current_caller() is NOBODY
    assert not current_caller().may(Need(Verb.ANY))


def test_a_key_ends_with_its_time(path: Path) -> None:
    clock = Clock()
    text = given_key(path, "generate", expires=NOW + timedelta(seconds=60))
    keys = opened(path, clock)
    caller = authorise(keys, f"Bearer {text}", GENERATE)

    clock.seconds = 60
    with pytest.raises(KeyExpired, match="was good until 2026-11-26T12:01:00Z"):
        keys.caller(text)
    with pytest.raises(KeyExpired):
        keys.check(caller)


def test_a_key_that_is_added_counts_within_a_second(path: Path) -> None:
    clock = Clock()
    given_key(path, "admin")
    keys = opened(path, clock)

    text = given_key(path, "generate")

    with pytest.raises(KeyUnknown):
        keys.caller(text)
    clock.seconds = 1
    assert keys.caller(text).key_id == id_of(text)


def test_a_key_that_is_removed_is_refused_and_what_it_began_is_ended(path: Path) -> None:
    clock = Clock()
    text = given_key(path, "generate")
    given_key(path, "admin")
    keys = opened(path, clock)
    caller = keys.caller(text)
    keys.check(caller)

    remove_key(path, id_of(text))
    clock.seconds = 1

    with pytest.raises(KeyRevoked, match="was removed"):
        keys.check(caller)
    with pytest.raises(KeyUnknown):
        keys.caller(text)


def test_a_key_that_may_do_less_ends_what_it_began_and_one_that_may_do_more_does_not(path: Path) -> None:
    clock = Clock()
    text = given_key(path, "generate", "read")
    keys = opened(path, clock)
    caller = keys.caller(text)

    path.write_text(path.read_text().replace('"read"]', '"read", "publish"]'))
    clock.seconds = 1
    keys.check(caller)

    path.write_text(path.read_text().replace('"read", ', ""))
    clock.seconds = 2
    with pytest.raises(KeyRevoked, match="may do less"):
        keys.check(caller)


def test_another_secret_under_the_same_id_is_another_key(path: Path) -> None:
    clock = Clock()
    text = given_key(path, "generate")
    keys = opened(path, clock)
    caller = keys.caller(text)

    held = path.read_text()
    sha256 = held.split('"sha256": "')[1][:64]
    path.write_text(held.replace(sha256, "0" * 64))
    clock.seconds = 1

    with pytest.raises(KeyRevoked):
        keys.check(caller)


@pytest.mark.parametrize("trouble", ["gone", "open to others"])
def test_a_file_that_cannot_be_trusted_any_more_opens_nothing_until_it_can(
    path: Path, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    text = given_key(path, "generate")
    keys = opened(path, clock)
    held = path.read_bytes()

    path.unlink()
    if trouble == "open to others":
        path.write_bytes(held)
        path.chmod(0o666)
    clock.seconds = 1
    with caplog.at_level(logging.ERROR), pytest.raises(KeyUnknown):
        keys.caller(text)
    assert "no key opens anything" in caplog.text and text not in caplog.text

    path.unlink(missing_ok=True)
    path.write_bytes(held)
    path.chmod(0o600)
    clock.seconds = 2
    assert keys.caller(text).key_id == id_of(text)


def test_a_file_that_is_only_opened_to_others_opens_nothing_until_it_is_closed_again(path: Path) -> None:
    clock = Clock()
    text = given_key(path, "generate")
    keys = opened(path, clock)

    path.chmod(0o622)
    clock.seconds = 1
    with pytest.raises(KeyUnknown):
        keys.caller(text)

    path.chmod(0o600)
    clock.seconds = 2
    assert keys.caller(text).key_id == id_of(text)


def test_the_disk_is_asked_at_most_once_a_second(path: Path) -> None:
    clock = Clock()
    text = given_key(path, "generate")
    keys = opened(path, clock)

    path.unlink()
    clock.seconds = 0.9
    for _ in range(100):
        keys.caller(text)
    clock.seconds = 1
    with pytest.raises(KeyUnknown):
        keys.caller(text)


def test_a_bad_line_stops_a_start_and_later_is_told(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    text = given_key(path, "generate")
    keys = opened(path, clock)
    with path.open("a") as file:
        file.write("not a key\n")

    clock.seconds = 1
    assert keys.caller(text).key_id == id_of(text)
    assert "line 2 is no key" in caplog.text
    with pytest.raises(KeyFileInvalid, match="line 2 is no key"):
        opened(path, clock)


def test_a_file_without_keys_lets_nobody_in_and_says_so(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.touch(0o600)

    opened(path, Clock())

    assert "nobody is let in" in caplog.text


def test_a_file_behind_a_link_is_followed_to_its_successor(path: Path, tmp_path: Path) -> None:
    """As mounted secrets are renewed: the link is replaced, the files are not."""
    clock = Clock()
    given_key(tmp_path / "one.jsonl", "admin")
    text = given_key(tmp_path / "two.jsonl", "generate")
    path.symlink_to(tmp_path / "one.jsonl")
    keys = opened(path, clock)

    (tmp_path / "next").symlink_to(tmp_path / "two.jsonl")
    os.replace(tmp_path / "next", path)
    clock.seconds = 1

    assert keys.caller(text).key_id == id_of(text)


def test_a_callers_scopes_are_those_in_the_file(path: Path) -> None:
    text = given_key(path, "generate:team/*", "read")

    assert opened(path, Clock()).caller(text).scopes == (Scope.parse("generate:team/*"), Scope.parse("read"))
