"""Runs `parfocal serve` as a process of its own, so that the client's Python is not in the engine's way."""

import contextlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from parfocal.bench.errors import ServerNotReady
from parfocal.rpc import open_blocking_channel

COMMAND = (sys.executable, "-m", "parfocal.cli", "serve")
# Loading and quantising a base of some billion weights takes minutes on a small machine.
READY_S = 900.0
_STOP_S = 40.0
_POLL_S = 0.1
_SERVING = re.compile(r"^Serving .+ at (\S+)$", re.MULTILINE)
_METRICS = re.compile(r"^Metrics at (\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A healthy server: where it answers, its process, and the file that gets what it writes."""

    address: str
    pid: int
    log: Path

    @property
    def metrics_url(self) -> str | None:
        """Where its metrics are; None if it shows none."""
        found = _METRICS.search(self.log.read_text("utf-8", "replace"))
        return found[1] if found else None


@contextlib.contextmanager
def server_process(
    settings: Mapping[str, str], log: Path, command: tuple[str, ...] = COMMAND, ready_s: float = READY_S
) -> Iterator[ServerProcess]:
    """Yields a healthy server; it has ended when the scope is left.

    `settings` become flags; `log` gets what the server writes. Raises ServerNotReady.
    """
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in settings.items()]
    with log.open("wb") as out, subprocess.Popen([*command, *flags], stdout=out, stderr=out) as process:
        try:
            address = _ready_address(process, log, time.monotonic() + ready_s)
            yield ServerProcess(address, process.pid, log)
        finally:
            _stop(process)


def _ready_address(process: "subprocess.Popen[bytes]", log: Path, until: float) -> str:
    while process.poll() is None and time.monotonic() < until:
        found = _SERVING.search(log.read_text("utf-8", "replace"))
        if found is not None:
            _check_health(found[1], until)
            return found[1]
        time.sleep(_POLL_S)
    code = process.poll()
    what = "is not ready in time" if code is None else f"ended with code {code}"
    raise ServerNotReady(f"the server under test {what}; its last lines: {_tail(log)}")


def _check_health(address: str, until: float) -> None:
    with open_blocking_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        try:
            reply = check(health_pb2.HealthCheckRequest(), timeout=max(1.0, until - time.monotonic()))
        except grpc.RpcError as error:
            raise ServerNotReady(f"the server under test at {address} does not answer: {error}") from error
    if reply.status != health_pb2.HealthCheckResponse.SERVING:
        raise ServerNotReady(f"the server under test at {address} says that it does not serve")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _tail(log: Path) -> str:
    return " | ".join(log.read_text("utf-8", "replace").splitlines()[-5:])
