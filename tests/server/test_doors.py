"""The addresses of a server, and what it says of itself there, before there is anything to serve."""

import asyncio
import http.client

import pytest

from parfocal.engine import EngineThread
from parfocal.rpc import AddressInvalid, AddressUnavailable
from parfocal.server.doors import Doors, listening
from parfocal.server.settings import ServeConfig

FREE = "127.0.0.1:0"
CONFIG = ServeConfig(grpc_address=FREE, http_address=FREE, metrics_address=FREE)


def _config(grpc_address: str = FREE, metrics_address: str = FREE, http_address: str = FREE) -> ServeConfig:
    return ServeConfig(grpc_address=grpc_address, http_address=http_address, metrics_address=metrics_address)


class FakeEngine(EngineThread):
    """An engine that lives until a test says otherwise."""

    def __init__(self) -> None:
        self.is_alive = True

    @property
    def alive(self) -> bool:
        return self.is_alive


def readiness(doors: Doors) -> tuple[int, str]:
    """Returns what the page says."""
    connection = http.client.HTTPConnection("127.0.0.1", doors.metrics_port, timeout=10)
    connection.request("GET", "/readyz")
    reply = connection.getresponse()
    return reply.status, reply.read().decode().strip()


def test_a_server_is_ready_only_while_its_engine_takes_requests() -> None:
    async def scenario() -> list[tuple[int, str]]:
        engine = FakeEngine()
        async with listening(CONFIG) as doors:
            said = [await asyncio.to_thread(readiness, doors)]
            doors.serves(engine)
            said.append(await asyncio.to_thread(readiness, doors))
            engine.is_alive = False
            said.append(await asyncio.to_thread(readiness, doors))
            engine.is_alive = True
            doors.wire.terminate()
            said.append(await asyncio.to_thread(readiness, doors))
        return said

    assert asyncio.run(scenario()) == [
        (503, "loading"),
        (200, "ready"),
        (503, "failed"),
        (503, "draining"),
    ]


@pytest.mark.parametrize("setting", ["grpc_address", "http_address", "metrics_address"])
def test_a_taken_address_is_refused_with_its_flag(setting: str) -> None:
    async def scenario() -> None:
        async with listening(CONFIG) as doors:
            port = doors.wire.port if setting == "grpc_address" else doors.metrics_port
            taken = _config(**{setting: f"127.0.0.1:{port}"})
            flag = f"--{setting.replace('_', '-')}"
            expected = f"{flag}: cannot .* at 127.0.0.1:{port}: Address already in use; choose another"
            with pytest.raises(AddressUnavailable, match=expected):
                async with listening(taken):
                    pass

    asyncio.run(scenario())


@pytest.mark.parametrize("setting", ["grpc_address", "http_address", "metrics_address"])
def test_a_malformed_address_is_refused_with_its_flag(setting: str) -> None:
    async def scenario() -> None:
        async with listening(_config(**{setting: "nowhere"})):
            pass

    with pytest.raises(AddressInvalid, match=f"--{setting.replace('_', '-')}: 'nowhere'"):
        asyncio.run(scenario())


def test_the_second_address_that_fails_gives_the_first_back() -> None:
    async def scenario() -> None:
        async with listening(CONFIG) as doors:
            pass
        address = f"127.0.0.1:{doors.wire.port}"
        with pytest.raises(AddressInvalid):
            async with listening(_config(address, "nowhere")):
                pass
        async with listening(_config(address)) as again:
            assert again.wire.port == doors.wire.port

    asyncio.run(scenario())
