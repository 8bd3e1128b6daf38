"""Lets everybody work, first in calm, then while one a second is killed."""

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess

import grpc

from bench.registry_stand.roles import Stand, read, serve, write

_processes = multiprocessing.get_context("fork")
_READY_S = 60.0
_RESTARTS = 2
# Of two among eighteen few would die; so each fifth death is a server's.
_SERVERS_TURN = 5
Role = Callable[[Stand, int], object]


@dataclass(frozen=True, slots=True)
class Chaos:
    """How long, how long in calm before, how many take part, and which draws are made."""

    seconds: float
    calm_s: float
    writers: int
    readers: int
    seed: int


@dataclass
class Came:
    """When calm and storm began, who died or ended without being killed, and how long restarts took."""

    calm_at: float = 0.0
    begun_at: float = 0.0
    ended_at: float = 0.0
    deaths: Counter[str] = field(default_factory=Counter)
    ended_alone: list[str] = field(default_factory=list)
    restarts_s: list[float] = field(default_factory=list)
    server_start_s: float = 0.0


def storm(stand: Stand, asked: Chaos, restart: Callable[[], float]) -> Came:
    """Returns when the storm is over and everybody is dead."""
    came, draw = Came(), random.Random(asked.seed)
    servers: list[tuple[Role, int]] = [(serve, number) for number in range(len(stand.ports))]
    others: list[tuple[Role, int]] = [(write, number) for number in range(asked.writers)]
    others += [(read, number) for number in range(asked.readers)]
    begun = time.monotonic()
    running = [(role, _begun(role, stand)) for role in servers]
    _wait_for_ports(stand)
    came.server_start_s = time.monotonic() - begun
    running += [(role, _begun(role, stand)) for role in others]
    came.calm_at = time.monotonic()
    time.sleep(asked.calm_s)
    came.begun_at = time.monotonic()
    while (passed := time.monotonic() - came.begun_at) < asked.seconds:
        time.sleep(1.0)
        is_server = came.deaths.total() % _SERVERS_TURN == _SERVERS_TURN - 1
        victim = draw.randrange(len(servers)) if is_server else draw.randrange(len(running))
        role, process = running[victim]
        if process.exitcode is not None:
            came.ended_alone.append(f"{role[0].__name__} {role[1]} ended with {process.exitcode}")
        _kill(process)
        came.deaths[role[0].__name__] += 1
        running[victim] = (role, _begun(role, stand))
        if len(came.restarts_s) < _RESTARTS and passed > (len(came.restarts_s) + 1) * asked.seconds / 3:
            came.restarts_s.append(restart())
    came.ended_at = time.monotonic()
    for role, process in running:
        if process.exitcode is not None:
            came.ended_alone.append(f"{role[0].__name__} {role[1]} ended with {process.exitcode}")
        _kill(process)
    return came


def _begun(role: tuple[Role, int], stand: Stand) -> BaseProcess:
    process = _processes.Process(target=role[0], args=(stand, role[1]), daemon=True)
    process.start()
    return process


def _kill(process: BaseProcess) -> None:
    process.kill()
    process.join(60)


def _wait_for_ports(stand: Stand) -> None:
    """Waits until every server answers; asks in a process of its own, for gRPC does not survive a fork."""
    waiting = _processes.Process(target=_wait, args=(stand.ports,), daemon=True)
    waiting.start()
    waiting.join(_READY_S + 10)
    assert waiting.exitcode == 0, "the servers do not start"


def _wait(ports: tuple[int, ...]) -> None:
    for port in ports:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            grpc.channel_ready_future(channel).result(_READY_S)
