"""TLS over a real channel: who is trusted, what is said where nobody is, and renewed certificates."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import pytest

from fakes.echo import NAME, Echo, add_echo, call
from fakes.pki import DAY, Authority, Pair
from parfocal.rpc import (
    Credentials,
    CredentialsInvalid,
    Endpoint,
    Guard,
    RemoteError,
    Service,
    TlsFiles,
    WireServer,
    explained,
    open_channel,
    remote_error,
    server_context,
)
from parfocal.rpc.tls import WatchedFiles


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("strange"), "stranger")


@contextlib.asynccontextmanager
async def served(tls: TlsFiles | None) -> AsyncIterator[int]:
    server = WireServer("127.0.0.1:0", [Service(add_echo, Echo(), NAME)], guard=Guard(tls=tls))
    await server.start()
    try:
        yield server.port
    finally:
        await server.stop()


async def asked(
    port: int, credentials: Credentials, scheme: str = "grpcs", host: str = "127.0.0.1", sure: bool = True
) -> str:
    """The server's echo, or what is said of the failure.

    Not `sure`, it may be mended before anybody has looked for its cause.
    """
    endpoint = Endpoint.parse(f"{scheme}://{host}:{port}", credentials)
    async with open_channel(endpoint) as channel:
        try:
            return b"".join(await call(channel, "UnaryUnary", b"hello")).decode()
        except grpc.aio.AioRpcError as error:
            failed = await asyncio.to_thread(explained, remote_error(error), endpoint)
            assert failed.reason == "TLS_FAILED" or not sure, str(failed)
            return str(failed).replace(str(port), "PORT")


def answer(
    tls: TlsFiles | None, credentials: Credentials, scheme: str = "grpcs", host: str = "127.0.0.1"
) -> str:
    async def scenario() -> str:
        async with served(tls) as port:
            return await asked(port, credentials, scheme, host)

    return asyncio.run(scenario())


def files(pair: Pair, ca: Path | None = None) -> TlsFiles:
    return TlsFiles(pair.cert, pair.key, ca)


def trusting(authority: Authority, own: Pair | None = None) -> Credentials:
    cert, key = (own.cert, own.key) if own is not None else (None, None)
    return Credentials(tls_ca=authority.ca, tls_cert=cert, tls_key=key)


def test_a_caller_who_trusts_the_authority_is_answered(authority: Authority) -> None:
    assert answer(files(authority.issue("server")), trusting(authority)) == "hello"


def test_a_caller_with_a_certificate_is_let_in_where_one_is_wanted(authority: Authority) -> None:
    tls = files(authority.issue("server"), authority.ca)

    assert answer(tls, trusting(authority, authority.issue("caller"))) == "hello"


def test_a_caller_without_a_certificate_is_told_to_give_one(authority: Authority) -> None:
    said = answer(files(authority.issue("server"), authority.ca), trusting(authority))

    assert said.startswith("grpcs://127.0.0.1:PORT: the server wants a client certificate")
    assert "--tls-cert FILE --tls-key FILE" in said


def test_a_certificate_of_a_stranger_is_refused_by_name(authority: Authority, stranger: Authority) -> None:
    own = stranger.issue("intruder")

    said = answer(files(authority.issue("server"), authority.ca), trusting(authority, own))

    assert f"the server refuses the client certificate {own.cert}" in said


def test_a_server_of_an_unknown_authority_is_not_trusted(authority: Authority, stranger: Authority) -> None:
    tls = files(stranger.issue("server"))

    assert f"from none of those in {authority.ca}" in answer(tls, trusting(authority))
    assert "no public authority; name its own with --tls-ca FILE" in answer(tls, Credentials())


def test_a_certificate_for_another_host_is_told_from_others(authority: Authority) -> None:
    tls = files(authority.issue("elsewhere", hosts=("elsewhere.example",)))

    assert "the server's certificate is for another host" in answer(tls, trusting(authority))
    assert "for another host" in answer(tls, trusting(authority), host="localhost")


def test_an_expired_certificate_is_named_at_either_end(authority: Authority) -> None:
    old = authority.issue("old", ends=-DAY)

    async def scenario() -> str:
        """Serves it all the same, as a server does whose certificate ends while it runs."""
        server = grpc.aio.server()
        pair = (old.key.read_bytes(), old.cert.read_bytes())
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
        await server.start()
        try:
            return await asked(port, trusting(authority))
        finally:
            await server.stop(0)

    assert "the server's certificate has expired; its operator must renew it" in asyncio.run(scenario())
    with pytest.raises(CredentialsInvalid, match=r"old\.pem has expired; renew it"):
        answer(files(old), trusting(authority))


def test_plain_and_tls_find_out_about_each_other(authority: Authority) -> None:
    tls = files(authority.issue("server"))

    assert "the server speaks TLS; write grpcs://127.0.0.1:PORT" in answer(tls, Credentials(), "grpc")
    assert "does not speak TLS; write grpc://127.0.0.1:PORT" in answer(None, trusting(authority))


def test_other_failures_stay_as_they_are(authority: Authority) -> None:
    async def scenario() -> tuple[RemoteError, RemoteError]:
        async with served(files(authority.issue("server"))) as port:
            endpoint = Endpoint.parse(f"grpcs://127.0.0.1:{port}", trusting(authority))
        gone = RemoteError("gone", "UNAVAILABLE", "UNAVAILABLE", {})
        drained = RemoteError("drained", "UNAVAILABLE", "DRAINING", {})
        return await asyncio.to_thread(explained, gone, endpoint), explained(drained, endpoint)

    gone, drained = asyncio.run(scenario())

    assert (str(gone), gone.reason) == ("gone", "UNAVAILABLE")
    assert drained.reason == "DRAINING"


def test_a_renewed_certificate_is_used_without_a_restart(authority: Authority, tmp_path: Path) -> None:
    """The server begins with a certificate for elsewhere, so that only a renewed one can be trusted."""
    wrong = authority.issue("wrong", hosts=("elsewhere.example",))
    used = Pair(Path(shutil.copy(wrong.cert, tmp_path)), Path(shutil.copy(wrong.key, tmp_path)))

    async def scenario() -> list[str]:
        said = []
        async with served(files(used)) as port:
            said.append(await asked(port, trusting(authority)))
            right = authority.issue("right")
            right.cert.replace(used.cert)
            right.key.replace(used.key)
            while (now := await asked(port, trusting(authority), sure=False)) != "hello":
                await asyncio.sleep(0.1)
            said.append(now)
        return said

    before, after = asyncio.run(scenario())

    assert "for another host" in before and after == "hello"


def test_files_in_the_middle_of_a_renewal_are_not_used(
    authority: Authority, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = authority.issue("first"), authority.issue("second")
    used = Pair(Path(shutil.copy(old.cert, tmp_path)), Path(shutil.copy(old.key, tmp_path)))
    seconds = [0.0]
    watched = WatchedFiles(files(used), lambda: seconds[0])

    shutil.copy(new.cert, used.cert)
    assert not watched.changed(), "the disk is asked once a second"
    seconds[0] = 1
    assert not watched.changed()
    assert "belongs to another certificate" in caplog.text

    shutil.copy(new.key, used.key)
    seconds[0] = 2
    assert watched.changed()
    seconds[0] = 3
    assert not watched.changed()


def test_a_server_is_not_built_on_files_that_cannot_be_used(
    authority: Authority, stranger: Authority
) -> None:
    one, other = authority.issue("one"), stranger.issue("other")

    with pytest.raises(CredentialsInvalid, match="belongs to another certificate"):
        server_context(TlsFiles(one.cert, other.key))
    with pytest.raises(CredentialsInvalid, match=r"authorities in .*one\.key"):
        server_context(TlsFiles(one.cert, one.key, one.key))
