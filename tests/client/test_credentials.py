"""The light client against a server with keys, over TLS: what it shows, and what its errors say."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fakes.key_files import given_key
from fakes.pki import Authority
from fakes.served_aside import served_aside
from parfocal.client import (
    AsyncClient,
    Client,
    Credentials,
    NotAllowed,
    NotAuthenticated,
    Retries,
    Unavailable,
)
from parfocal.rpc import Guard, TlsFiles
from parfocal.rpc.access import KeysInForce


@dataclass
class Guarded:
    """A server that wants a key, over TLS."""

    address: str
    base: str
    nothing: str
    ca: Path


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    authority, keys = Authority(folder), folder / "keys"
    pair, base, nothing = (
        authority.issue("server"),
        given_key(keys, "generate:base"),
        given_key(keys, "read:a/*"),
    )
    guard = Guard(KeysInForce(keys), TlsFiles(pair.cert, pair.key))
    with served_aside(guard=guard) as served:
        yield Guarded(f"grpcs://127.0.0.1:{served.wire.port}", base, nothing, authority.ca)


def test_a_client_shows_its_key_blocking_and_asyncio(guarded: Guarded) -> None:
    credentials = Credentials(guarded.base, guarded.ca)

    async def scenario() -> list[str]:
        async with AsyncClient(guarded.address, credentials=credentials) as client:
            pieces = [delta.text async for delta in client.stream("Hi")]
            return [(await client.generate("Hi")).text, "".join(pieces)]

    with Client(guarded.address, credentials=credentials) as client:
        said = [client.generate("Hi").text, "".join(delta.text for delta in client.stream("Hi"))]

    assert said == asyncio.run(scenario()) == ["Once upon a time"] * 2


def test_a_client_takes_what_the_environment_names(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARFOCAL_API_KEY", guarded.base)
    monkeypatch.setenv("PARFOCAL_TLS_CA", str(guarded.ca))

    with Client(guarded.address) as client:
        assert client.generate("Hi").text == "Once upon a time"


def test_a_client_without_the_key_or_the_scope_is_told_which_once(guarded: Guarded) -> None:
    with (
        Client(guarded.address, credentials=Credentials(None, guarded.ca)) as client,
        pytest.raises(NotAuthenticated, match="wants an API key") as missing,
    ):
        client.generate("Hi")
    with (
        Client(guarded.address, credentials=Credentials(guarded.nothing, guarded.ca)) as client,
        pytest.raises(NotAllowed, match="this needs generate:base"),
    ):
        client.generate("Hi")

    assert missing.value.reason == "KEY_MISSING"


def test_a_server_that_is_not_trusted_is_not_asked_again(guarded: Guarded) -> None:
    credentials, patient = Credentials(guarded.base), Retries(first_s=3600, longest_s=3600)

    async def scenario() -> str:
        async with AsyncClient(guarded.address, credentials=credentials, retries=patient) as client:
            with pytest.raises(Unavailable) as refused:
                await client.generate("Hi")
            return str(refused.value)

    with (
        Client(guarded.address, credentials=credentials, retries=patient) as client,
        pytest.raises(Unavailable, match="no public authority") as refused,
    ):
        client.generate("Hi")

    assert refused.value.reason == "TLS_FAILED"
    assert "no public authority" in asyncio.run(scenario())
