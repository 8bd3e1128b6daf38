"""`parfocal log --follow`: what happens from now on, beyond broken connections."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import pytest

from fakes.command_results import Run
from fakes.command_results import refusal_of as _refusal
from fakes.registry.registry_server import serving
from parfocal.cli.following import event_line, follow
from parfocal.registry import FolderRegistry, Registry, Watch
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.values import Event, EventKind
from parfocal.rpc import RemoteError

WHEN = datetime(2026, 11, 26, 18, 0, tzinfo=UTC)
DIGEST = "sha256:" + "0123456789ab" * 5 + "0123"


def _followed(registry: Path, *words: str, count: int) -> list[str]:
    """That many lines of the command, which is then interrupted, and must end in silence."""
    command = [sys.executable, "-m", "parfocal.cli", "log", "--follow", "--registry", str(registry), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = list(islice(process.stdout, count))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert (process.returncode, said) == (130, "")
    return lines


def test_all_that_ever_happened_comes_in_order_and_then_what_happens(published: Path) -> None:
    lines = _followed(published, "--after", "0", count=3)

    assert [line.split("  ")[1] for line in lines] == ["1", "2", "3"]
    assert "team/invoices@1 published as sha256:" in lines[0]
    assert lines[2].endswith("team/invoices@prod → 1, by ann\n")


def test_machines_get_one_object_a_line(published: Path) -> None:
    (line,) = _followed(published, "team/invoices", "prod", "--after", "1", "--json", count=1)

    event = json.loads(line)
    assert (event["sequence"], event["kind"], event["alias"], event["version"]) == (3, "alias_set", "prod", 1)


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            Event(1, EventKind.VERSION_PUBLISHED, "team/x", WHEN, 2, DIGEST),
            "team/x@2 published as sha256:0123456789ab",
        ),
        (
            Event(1, EventKind.VERSION_DELETED, "team/x", WHEN, 2, DIGEST, actor="ann"),
            "team/x@2 deleted, by ann",
        ),
        (
            Event(1, EventKind.ALIAS_SET, "team/x", WHEN, 2, DIGEST, "prod", 1, "ann"),
            "team/x@prod → 2 (was 1), by ann",
        ),
        (Event(1, EventKind.ALIAS_SET, "team/x", WHEN, 2, DIGEST, "prod"), "team/x@prod → 2"),
        (
            Event(1, EventKind.ALIAS_ROLLED_BACK, "team/x", WHEN, 1, DIGEST, "prod", 2),
            "team/x@prod rolled back to 1 (was 2)",
        ),
        (Event(1, EventKind.ALIAS_DELETED, "team/x", WHEN, 0, "", "prod", 2), "team/x@prod deleted (was 2)"),
        (Event(1, EventKind.ADAPTER_DELETED, "team/x", WHEN, actor="ann"), "team/x deleted, by ann"),
    ],
)
def test_people_read_what_happened(event: Event, line: str) -> None:
    assert event_line(event).split("  ")[1:] == ["1", line]


def test_a_number_that_never_was_is_refused(run: Run, published: Path) -> None:
    assert "no event 99, its last is 3" in _refusal(run("log", "--follow", "--after", "99"))


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "--follow"),
        (("team/invoices", "--after", "0"), "--follow"),
        (("--follow", "--after", "-1"), "--after"),
    ],
)
def test_words_that_contradict_each_other_are_a_usage_error(
    run: Run, published: Path, words: tuple[str, ...], says: str
) -> None:
    result = run("log", *words)

    assert result.exit_code == 2
    assert says in result.stderr


def test_a_server_that_comes_back_is_followed_on_without_a_gap(
    published: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = FolderRegistry(published)
    socket = f"unix:{tmp_path}/registry.sock"
    paused: list[float] = []
    servers = iter([serving(registry, tmp_path / "uploads", address=socket) for _ in range(2)])
    server = next(servers)
    server.__enter__()

    def pause(seconds: float) -> None:
        """The server comes back while nobody looks."""
        nonlocal server
        paused.append(seconds)
        time.sleep(0.02)  # the channel waits too before it connects again
        if len(paused) == 3:
            registry.set_alias("team/invoices", "prod", 2)
            server = next(servers)
            server.__enter__()

    events = follow(RemoteRegistry(socket, cache=tmp_path / "cache"), "", 0, pause)
    before = [next(events).sequence for _ in range(3)]
    server.__exit__(None, None, None)
    after = next(events).sequence
    events.close()
    server.__exit__(None, None, None)

    assert (before, after) == ([1, 2, 3], 4)
    assert paused == [1.0, 2.0, 4.0, 8.0, *[16.0] * 1000][: len(paused)]
    assert capsys.readouterr().err.count("going on as soon as one answers") == 1


class LeavingRegistry(FolderRegistry):
    """The first watch ends after one event as a server's that stops; the next ones do not even begin."""

    ends: Sequence[str] = ()

    def watch(self, name: str = "", after: int | None = None) -> Watch:
        if after == 0:
            return LeavingWatch(super().watch(name, after), self.ends[0])
        if len(self.ends) > 1:
            self.ends = self.ends[1:]
            raise RemoteError("it stops", self.ends[0], "", {})
        return super().watch(name, after)


class LeavingWatch:
    begins_after = 0

    def __init__(self, watch: Watch, status: str) -> None:
        self._watch = watch
        self._status = status

    def __iter__(self) -> Iterator[Event]:
        yield next(iter(self._watch))
        raise RemoteError("it stops", self._status, "", {})

    def close(self) -> None:
        self._watch.close()


@pytest.mark.parametrize("ends", [("UNAVAILABLE",), ("CANCELLED", "UNAVAILABLE", "CANCELLED")])
def test_a_server_may_leave_in_either_way(published: Path, ends: Sequence[str]) -> None:
    registry = LeavingRegistry(published)
    registry.ends = ends
    events = follow(registry, "", 0, lambda seconds: None)

    assert [next(events).sequence for _ in range(3)] == [1, 2, 3]


class ForgetfulRegistry(FolderRegistry):
    """Ends its watches in another way than by not answering."""

    def watch(self, name: str = "", after: int | None = None) -> Watch:
        return ForgetfulWatch()


class ForgetfulWatch:
    begins_after = 0

    def __iter__(self) -> Iterator[Event]:
        raise RemoteError("it was restored", "OUT_OF_RANGE", "EVENT_UNKNOWN", {})

    def close(self) -> None:
        pass


def test_a_refusal_is_not_waited_out(published: Path) -> None:
    def never(seconds: float) -> None:
        raise AssertionError("it waits")

    registry: Registry = ForgetfulRegistry(published)
    with pytest.raises(RemoteError, match="restored"):
        next(follow(registry, "", None, never))
