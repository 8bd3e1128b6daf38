"""What a supervisor such as systemd hears of a server, on a socket as systemd gives it."""

import asyncio
import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from parfocal.server import Supervisor, supervised


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        yield listener


def _environment(systemd: socket.socket, **beside: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": systemd.getsockname(), **beside}


def _heard(systemd: socket.socket) -> list[str]:
    return systemd.recv(4096).decode().splitlines()


def test_it_hears_that_a_server_loads_answers_and_drains(systemd: socket.socket) -> None:
    supervisor = Supervisor(_environment(systemd))
    supervisor.status("Loading the base tiny")
    supervisor.ready("Serving tiny at 127.0.0.1:50051")
    supervisor.stopping()

    assert _heard(systemd) == ["STATUS=Loading the base tiny"]
    assert _heard(systemd) == ["READY=1", "STATUS=Serving tiny at 127.0.0.1:50051"]
    assert _heard(systemd) == ["STOPPING=1", "STATUS=Draining"]


def test_an_abstract_address_is_reached_too() -> None:
    name = f"parfocal-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        listener.settimeout(10)
        Supervisor({"NOTIFY_SOCKET": f"@{name}"}).ready("Serving")

        assert _heard(listener) == ["READY=1", "STATUS=Serving"]


def test_nothing_is_said_where_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    Supervisor({"WATCHDOG_USEC": "1000"}).ready("Serving")

    assert caplog.records == []
    assert Supervisor({"WATCHDOG_USEC": "1000"}).watchdog_s is None


def test_a_supervisor_that_is_gone_is_told_of_and_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        Supervisor({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready("Serving")

    assert "cannot tell" in caplog.text
    assert "No such file" in caplog.text


@pytest.mark.parametrize(
    ("beside", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "often"}, None),
    ],
)
def test_the_watchdog_is_read_as_systemd_sets_it(
    systemd: socket.socket, beside: dict[str, str], seconds: float | None
) -> None:
    assert Supervisor(_environment(systemd, **beside)).watchdog_s == seconds


def test_the_watchdog_is_held_off_until_the_server_is_unwell(systemd: socket.socket) -> None:
    asked: list[bool] = []

    def is_well() -> bool:
        asked.append(len(asked) < 3)
        return asked[-1]

    async def scenario() -> None:
        never = asyncio.Event()

        async def stopping() -> None:
            await never.wait()

        supervisor = Supervisor(_environment(systemd, WATCHDOG_USEC="2000"))
        async with supervised(supervisor, is_well, stopping):
            while len(asked) < 6:
                await asyncio.sleep(0.001)
        supervisor.status("ended")

    asyncio.run(scenario())
    assert [_heard(systemd)[0] for _ in range(4)] == ["WATCHDOG=1"] * 3 + ["STATUS=ended"]


def test_the_drain_is_told_when_it_begins(systemd: socket.socket) -> None:
    async def scenario() -> None:
        terminated = asyncio.Event()

        async def stopping() -> None:
            await terminated.wait()

        async with supervised(Supervisor(_environment(systemd)), lambda: True, stopping):
            terminated.set()
            assert (await asyncio.to_thread(_heard, systemd))[0] == "STOPPING=1"

    asyncio.run(scenario())
