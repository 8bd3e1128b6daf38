"""`parfocal status` and `parfocal top` against servers that serve, refuse, vanish and come back."""

import json
import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from typer.testing import Result

from fakes.command_results import json_of
from fakes.scripted_inference import ScriptedInference, scripted
from fakes.served_aside import served_aside
from fakes.serving import Served
from parfocal.cli.monitoring import ServerLooker
from parfocal.client import Client, Retries
from parfocal.engine import AdapterKey, AdapterStatus
from parfocal.rpc import Loading, WireError
from parfocal.server.metrics import MetricsEndpoint

Run = Callable[..., Result]
KEY = AdapterKey("sha256:" + "1" * 64, "team/invoices", 3)


@contextmanager
def _server(port: int = 0) -> Iterator[tuple[Served, str, str]]:
    """A faked server with a real metrics page; yields it with both addresses."""
    with served_aside(port=port) as served:
        page = MetricsEndpoint(served.metrics.registry, "127.0.0.1:0", lambda: "ready")
        try:
            yield served, f"127.0.0.1:{served.wire.port}", f"127.0.0.1:{page.port}"
        finally:
            page.stop()


def test_a_server_that_serves_is_described_and_the_exit_code_is_0(run: Run) -> None:
    with _server() as (_, address, metrics):
        found = json_of(run, "status", "--address", address, "--metrics-address", metrics)
        shown = run("status", "--address", address, "--metrics-address", metrics)

    assert (found["serving"], found["address"], found["missing"]) == (True, address, [])
    assert found["model"]["context_tokens"] == 64
    assert found["figures"]["requests_running"] == 0
    assert shown.exit_code == 0
    assert shown.stdout.startswith("● serving")


def test_a_server_whose_metrics_are_nowhere_is_served_and_says_so(run: Run) -> None:
    with served_aside() as served:
        found = json_of(run, "status", "--address", f"127.0.0.1:{served.wire.port}")

    assert found["serving"]
    assert found["figures"] is None
    assert found["missing"] == ["figures: the server names no metrics page; give --metrics-address"]


def test_a_pipe_gets_each_figure_on_a_line_of_its_own(run: Run) -> None:
    with _server() as (_, address, metrics):
        shown = run("status", "--address", address, "--metrics-address", metrics)

    lines = shown.stdout.splitlines()
    assert address in lines[0]
    for label in ("tokens/s", "first token", "per token", "errors"):
        assert [line for line in lines if line.startswith(f"{label}  ")]
    assert not any(line != line.rstrip() or "…" in line for line in lines)


def test_a_wrong_metrics_address_is_named(run: Run) -> None:
    with served_aside() as served:
        address = f"127.0.0.1:{served.wire.port}"
        found = json_of(run, "status", "--address", address, "--metrics-address", "127.0.0.1:1")

    (missing,) = found["missing"]
    assert "127.0.0.1:1/metrics" in missing


def test_nobody_there_ends_with_1_and_says_so(run: Run) -> None:
    as_json = run("status", "--json", "--address", "127.0.0.1:1")
    shown = run("status", "--address", "127.0.0.1:1")

    assert (as_json.exit_code, shown.exit_code) == (1, 1)
    assert json.loads(as_json.stdout)["state"] == "unreachable"
    assert shown.stdout.startswith("○ unreachable")


def test_a_server_that_loads_is_not_serving(run: Run) -> None:
    servicer = ScriptedInference(*(Loading("loading the base", retry_after_s=1.0) for _ in range(9)))
    with scripted(servicer) as address:
        found = run("status", "--json", "--address", address)

    assert found.exit_code == 1
    assert (json.loads(found.stdout)["state"], json.loads(found.stdout)["fault"]) == (
        "loading",
        "loading the base",
    )


class Denied(WireError):
    """What a key without the scope gets."""

    status = "PERMISSION_DENIED"
    reason = "SCOPE_MISSING"


def test_what_a_key_may_not_see_is_missing_and_the_server_serves(run: Run) -> None:
    with scripted(ScriptedInference(Denied("the key lacks the scope admin"))) as address:
        found = json_of(run, "status", "--address", address)

    assert (found["serving"], found["model"], found["adapters"]) == (True, None, [])
    assert found["missing"][0] == "model: the key lacks the scope admin"
    assert [each.partition(":")[0] for each in found["missing"]] == ["model", "adapters", "figures"]


def test_top_prints_one_frame_or_one_document(run: Run) -> None:
    with _server() as (served, address, metrics):
        served.engine.statuses.append(
            AdapterStatus(KEY, state="ready", tier="device", size_bytes=1 << 20, pins=1, rank=8)
        )
        places = ("--address", address, "--metrics-address", metrics, "--interval", "0.1")
        shown = run("top", "--once", *places)
        found = json_of(run, "top", *places)

    assert shown.exit_code == 0
    assert "team/invoices@3" in shown.stdout
    assert found["figures"]["tokens_per_s"] == 0.0
    assert found["adapters"][0]["pins"] == 1


def test_top_without_a_terminal_is_a_usage_error(run: Run) -> None:
    refused = run("top", "--address", "127.0.0.1:1")

    assert refused.exit_code == 2
    assert "--once" in refused.stderr


def test_a_server_that_vanishes_and_comes_back_is_seen_each_time() -> None:
    with _server() as (served, address, metrics):
        client = Client(address, retries=Retries(attempts=1))
        looker = ServerLooker(address, client, metrics)
        assert looker.look().state == "serving"
        port = served.wire.port
    with client:
        assert looker.look().state == "unreachable"
        with _server(port):
            until = time.monotonic() + 60
            while (seen := looker.look()).state != "serving":
                assert time.monotonic() < until, seen
                time.sleep(0.1)


@pytest.mark.parametrize("leaving", [b"q", b"\x03"])
def test_on_a_terminal_frames_are_drawn_until_a_key(leaving: bytes) -> None:
    with _server() as (_, address, metrics):
        code, drawn = _top_on_a_terminal(leaving, "--address", address, "--metrics-address", metrics)

    assert code == 0
    assert "serving" in drawn
    # The other screen is entered once and left at the end, so the shell's own is as it was.
    assert drawn.count("\x1b[?1049h") == drawn.count("\x1b[?1049l") == 1


def _top_on_a_terminal(leaving: bytes, *arguments: str) -> tuple[int, str]:
    """Types `leaving` once a frame is there; returns the exit code and all that was drawn."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "LINES": "24", "TERM": "xterm"}
    command = [sys.executable, "-m", "parfocal.cli", "top", "--interval", "0.2", *arguments]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment, start_new_session=True,
        preexec_fn=_take_terminal,
    ) as process:  # fmt: skip
        os.close(theirs)
        drawn, typed = b"", False
        while True:
            ready, _, _ = select.select([ours], [], [], 60)
            assert ready, drawn
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # the other end was closed
                break
            if not chunk:
                break
            drawn += chunk
            if b"first token" in drawn and not typed:
                os.write(ours, leaving)
                typed = True
    os.close(ours)
    return process.returncode, drawn.decode("utf-8", "replace")


def _take_terminal() -> None:
    """Makes the terminal the process's own, so that Ctrl-C reaches it."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
