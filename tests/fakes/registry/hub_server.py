"""A registry behind the Hub's protocol, on a port of the loopback, for clients that block."""

import asyncio
import contextlib
import http.client
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fakes.served_aside import aside
from parfocal.registry import Registry
from parfocal.registry.faces import ServiceLimits
from parfocal.registry.faces.hub import HubApp, UploadStore
from parfocal.registry.faces.uploads import Uploads
from parfocal.rpc import Guard, WireServer
from parfocal.server.faces.http import RestServer


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body as an object."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value


@dataclass(frozen=True)
class Hub:
    """A server that runs."""

    port: int
    app: HubApp

    @property
    def endpoint(self) -> str:
        """What HF_ENDPOINT would say."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """Blocks until there is an answer; the path goes as it is."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())


@contextlib.contextmanager
def hub(
    registry: Registry,
    home: Path,
    guard: Guard = Guard(),  # noqa: B008  # frozen
    limits: ServiceLimits = ServiceLimits(),  # noqa: B008  # frozen
    loop: asyncio.AbstractEventLoop | None = None,
) -> Iterator[Hub]:
    """Serves `registry` from a thread of its own, on `loop` if one is given, to whom the guard lets in."""
    with aside(_serving(registry, home, guard, limits), loop) as served:
        yield served


@contextlib.asynccontextmanager
async def _serving(registry: Registry, home: Path, guard: Guard, limits: ServiceLimits) -> AsyncIterator[Hub]:
    wire = WireServer("127.0.0.1:0")
    await wire.listen()
    store, uploads = UploadStore(home, "registry"), Uploads(home, limits)
    app = HubApp(registry, store, uploads, wire.admitted, guard)
    await app.open()
    server = RestServer(app, "127.0.0.1:0", guard.tls)
    server.start()
    await wire.open([])
    try:
        yield Hub(server.port, app)
    finally:
        await server.stop()
        await wire.stop()
        store.close()
