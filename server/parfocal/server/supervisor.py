"""Tells whoever started the process, such as systemd, how the server fares. Knows no server.

It speaks systemd's notification protocol (sd_notify): datagrams of `NAME=value` lines to the socket that
NOTIFY_SOCKET names. Where that is unset, nobody listens and nothing is said.
"""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

log = logging.getLogger(__name__)
_MICROSECONDS = 1_000_000


class Supervisor:
    """The one who started this process, as `environment` names it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self.watchdog_s = _watchdog_s(environment) if self._address else None

    def status(self, line: str) -> None:
        """Says in one line what the server does now."""
        self._tell(f"STATUS={line}")

    def ready(self, line: str) -> None:
        """Says that requests are answered from now on."""
        self._tell(f"READY=1\nSTATUS={line}")

    def stopping(self) -> None:
        """Says that the server drains, so that it is not taken for one that has failed."""
        self._tell("STOPPING=1\nSTATUS=Draining")

    def alive(self) -> None:
        """Holds off the watchdog for once."""
        self._tell("WATCHDOG=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        # An address that begins with @ is in Linux's abstract namespace.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
                # A supervisor that reads nothing must not hold up the loop.
                sender.setblocking(False)
                sender.sendto(message.encode(), address)
        except OSError as error:
            log.warning("cannot tell %s of %r: %s", self._address, message, error.strerror or error)


@contextlib.asynccontextmanager
async def supervised(
    supervisor: Supervisor, is_well: Callable[[], bool], stopping: Callable[[], Awaitable[None]]
) -> AsyncIterator[None]:
    """While the scope lasts, holds off the watchdog if `is_well`, and tells when `stopping` returns."""
    tasks = [asyncio.ensure_future(_tell_stopping(supervisor, stopping))]
    if supervisor.watchdog_s is not None:
        tasks.append(asyncio.ensure_future(_hold_off(supervisor, supervisor.watchdog_s / 2, is_well)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()


async def _tell_stopping(supervisor: Supervisor, stopping: Callable[[], Awaitable[None]]) -> None:
    await stopping()
    supervisor.stopping()


async def _hold_off(supervisor: Supervisor, every_s: float, is_well: Callable[[], bool]) -> None:
    while True:
        if is_well():
            supervisor.alive()
        await asyncio.sleep(every_s)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Within what time the supervisor wants to hear from this process; None if it does not watch it."""
    microseconds = environment.get("WATCHDOG_USEC", "")
    is_meant = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    if not is_meant or not microseconds.isdigit() or int(microseconds) == 0:
        return None
    return int(microseconds) / _MICROSECONDS
