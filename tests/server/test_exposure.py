"""Addresses that strangers reach are not served while nobody needs a key."""

import asyncio

import pytest

from parfocal.server.doors import listening
from parfocal.server.errors import BadSetting
from parfocal.server.exposure import check_exposure, is_loopback
from parfocal.server.settings import ServeConfig

OWN = [
    "127.0.0.1:0",
    "127.1.2.3:50051",
    "localhost:50051",
    "[::1]:0",
    "[::ffff:127.0.0.1]:0",
    "unix:/run/p.sock",
]
OPEN = ["0.0.0.0:50051", "[::]:50051", "192.0.2.7:50051", "[2001:db8::1]:50051", "[::ffff:192.0.2.7]:1"]


@pytest.mark.parametrize("address", OWN)
def test_this_machine_alone_reaches_its_loopback_and_its_sockets(address: str) -> None:
    assert is_loopback(address)
    check_exposure(ServeConfig(), {"grpc_address": address})


@pytest.mark.parametrize("address", OPEN)
def test_an_address_for_strangers_is_refused_without_keys(address: str) -> None:
    with pytest.raises(BadSetting, match=r"--keys FILE .* --insecure") as refused:
        check_exposure(ServeConfig(), {"grpc_address": "127.0.0.1:0", "http_address": address})

    assert refused.value.field == "http_address"
    assert address in str(refused.value)


@pytest.mark.parametrize("config", [ServeConfig(keys="keys.jsonl"), ServeConfig(insecure=True)])
def test_keys_or_consent_open_any_address(config: ServeConfig) -> None:
    check_exposure(config, {"grpc_address": "0.0.0.0:50051"})


def test_an_address_that_is_not_listened_at_exposes_nothing() -> None:
    check_exposure(ServeConfig(), {"http_address": ""})


def test_a_server_does_not_even_listen_there() -> None:
    async def scenario() -> None:
        async with listening(ServeConfig(grpc_address="0.0.0.0:0", metrics_address="")):
            pass

    with pytest.raises(BadSetting, match=r"--grpc-address 0\.0\.0\.0:0 can be reached from other machines"):
        asyncio.run(scenario())
