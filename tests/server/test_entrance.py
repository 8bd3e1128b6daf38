"""Who is let into a server, by its settings: what they must be, and that every address holds to them."""

import asyncio
import http.client
import logging
import ssl
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from fakes.key_files import given_key
from fakes.pki import DAY, Authority
from parfocal.rpc import Credentials, Endpoint, open_channel, remote_error
from parfocal.server.doors import listening
from parfocal.server.entrance import guard_of
from parfocal.server.errors import BadSetting
from parfocal.server.settings import ServeConfig
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize(
    ("settings", "field", "said"),
    [
        ({"tls_cert": "{cert}"}, "tls_key", "tls_cert is set without tls_key"),
        ({"tls_key": "{key}"}, "tls_key", "tls_key is set without tls_cert"),
        ({"tls_client_ca": "{ca}"}, "tls_client_ca", "tls_client_ca is set without tls_cert"),
        ({"tls_cert": "{cert}", "tls_key": "{ca}"}, "tls_cert", "cannot be used"),
        ({"tls_cert": "{old}", "tls_key": "{old_key}"}, "tls_cert", "has expired; renew it"),
        ({"keys": "/nowhere/keys"}, "keys", "cannot be read: No such file.*parfocal keys add"),
    ],
)
def test_settings_that_let_nobody_in_are_refused_by_name(
    settings: dict[str, str], field: str, said: str, authority: Authority
) -> None:
    good, old = authority.issue("good"), authority.issue("old", ends=-DAY)
    paths = {"cert": good.cert, "key": good.key, "ca": authority.ca, "old": old.cert, "old_key": old.key}

    with pytest.raises(BadSetting, match=said) as refused:
        guard_of(ServeConfig(**{name: text.format(**paths) for name, text in settings.items()}))  # type: ignore[arg-type]

    assert refused.value.field == field


def test_keys_that_cross_a_network_in_the_open_are_warned_of(
    tmp_path: Path, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    given_key(tmp_path / "keys", "admin")
    pair, keys = authority.issue("server"), str(tmp_path / "keys")

    guard_of(ServeConfig(keys=keys))
    guard_of(ServeConfig(keys=keys, grpc_address="0.0.0.0:0", tls_cert=str(pair.cert), tls_key=str(pair.key)))
    assert caplog.records == []
    guard_of(ServeConfig(keys=keys, grpc_address="0.0.0.0:0", http_address="0.0.0.0:8000"))
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert "keys cross the network unencrypted to 0.0.0.0:0" in caplog.text
    assert "unencrypted to 0.0.0.0:8000" in caplog.text


def test_every_address_holds_to_keys_and_tls_from_the_start(tmp_path: Path, authority: Authority) -> None:
    """While the base loads: probes are answered, strangers are not, and who has a key is told to wait."""
    key, pair = given_key(tmp_path / "keys", "admin"), authority.issue("server")
    free = "127.0.0.1:0"
    config = ServeConfig(
        grpc_address=free,
        http_address=free,
        metrics_address="",
        keys=str(tmp_path / "keys"),
        tls_cert=str(pair.cert),
        tls_key=str(pair.key),
    )

    def page(port: int, path: str) -> int:
        context = ssl.create_default_context(cafile=str(authority.ca))
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
        connection.request("GET", path)
        status = connection.getresponse().status
        connection.close()
        return status

    async def reason(port: int, shown: str | None) -> str:
        endpoint = Endpoint(f"127.0.0.1:{port}", True, Credentials(shown, authority.ca))
        async with open_channel(endpoint) as channel:
            await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await stub.GetModel(pb.GetModelRequest())
            return remote_error(refused.value).reason

    async def scenario() -> tuple[list[str], list[int]]:
        async with listening(config) as doors:
            reasons = [await reason(doors.wire.port, each) for each in (None, key)]
            paths = ("/healthz", "/v1/models")
            return reasons, [await asyncio.to_thread(page, doors.http_port, path) for path in paths]

    assert asyncio.run(scenario()) == (["KEY_MISSING", "LOADING"], [200, 401])
