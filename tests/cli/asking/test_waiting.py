"""Waiting for a server: one that starts later, one that loads for ever, and one that is none."""

import contextlib
import socket
import threading
from collections.abc import AsyncIterator, Callable

import pytest
from typer.testing import Result

from fakes.rest import rest_serving
from fakes.served_aside import aside, served_aside
from parfocal.cli.asking import Patience, wait_until_serving
from parfocal.rpc import RemoteError, WireServer

Run = Callable[..., Result]


@contextlib.asynccontextmanager
async def _loading() -> AsyncIterator[str]:
    """A server that listens and never has anything to serve."""
    server = WireServer("127.0.0.1:0")
    await server.listen()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        await server.stop()


def test_it_waits_for_a_server_that_is_started_later(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    answers: list[Result] = []
    asking = threading.Thread(
        target=lambda: answers.append(run("generate", "Hello", "--wait", "--address", f"127.0.0.1:{port}"))
    )
    asking.start()
    with served_aside(port=port):
        asking.join(60)

    assert [(each.exit_code, each.stdout) for each in answers] == [(0, "Once upon a time\n")]


def test_who_waits_in_vain_is_told_so_in_one_line(run: Run) -> None:
    with served_aside() as served:
        address = f"127.0.0.1:{served.wire.port}"

    result = run("generate", "Hello", "--wait", "--timeout", "0.2", "--address", address)

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert result.stderr.startswith(f"parfocal: no server was ready at {address} within 0.2")
    assert "nobody answers" in result.stderr
    assert "parfocal serve" in result.stderr


def test_who_waits_for_a_server_that_loads_for_ever_is_told_that_it_loads(run: Run) -> None:
    with aside(_loading()) as address:
        result = run("generate", "Hello", "--wait-for", "0.3", "--address", address)

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "nobody answers" not in result.stderr
    assert "--wait-for" in result.stderr


def test_a_server_that_does_not_answer_is_given_up_long_before_one_that_loads() -> None:
    with served_aside() as served:
        address = f"127.0.0.1:{served.wire.port}"
    heard: list[str] = []

    with pytest.raises(RemoteError, match="nobody answers"):
        wait_until_serving(address, Patience(absent_s=0.3, most_s=3600.0), heard.append)

    assert "nobody answers" in heard[0]


def test_an_address_that_answers_another_protocol_is_said_at_once(run: Run) -> None:
    with aside(rest_serving()) as rest:
        for wait in ((), ("--wait",)):
            result = run("generate", "Hello", *wait, "--address", f"127.0.0.1:{rest.port}")

            assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
            assert "not gRPC but HTTP/1" in result.stderr
            assert "start one" not in result.stderr


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "-inf", "1e300"])
def test_a_time_that_cannot_be_waited_is_a_mistake_in_usage(run: Run, seconds: str) -> None:
    result = run("generate", "Hello", f"--timeout={seconds}")

    assert result.exit_code == 2
    assert "no time to wait" in result.stderr
