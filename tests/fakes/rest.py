"""OpenAI's routes on a fake engine, over a real port; and a client that shows what came over the wire."""

import asyncio
import contextlib
import http.client
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from fakes.engine.constraints import FakeCompiler
from fakes.engine.engine_thread import FakeEngineThread
from fakes.serving import FakeResolver
from fakes.tokenizer import ALTERNATE, character_tokenizer
from parfocal.engine.scheduling import Admission
from parfocal.registry import AdapterNotFound, AdapterSummary, Alias, Page, Version
from parfocal.rpc import Guard, WireServer
from parfocal.server.faces.http import ConnectionLimits, RestServer
from parfocal.server.faces.openai import RestApp, RestParts, ServedBase
from parfocal.server.metrics.server_metrics import ServerMetrics
from parfocal.server.requests import EncoderPool, Intake, PromptEncoder, Tokenizer

BASE = ServedBase("tiny", "sha256:" + "b" * 64, context_tokens=64, vocabulary_size=0x110000, since=1)


@dataclass
class FakeAdapters:
    """A registry that lists what a test put there, two adapters a page unless it says otherwise."""

    summaries: list[AdapterSummary] = field(default_factory=list)
    page: int = 2

    def add(self, name: str, **aliases: int) -> None:
        """An adapter of three versions."""
        now = datetime.fromtimestamp(1000, UTC)
        pointing = tuple(
            Alias(name, alias, version, f"sha256:{version:064}", "", now)
            for alias, version in aliases.items()
        )
        self.summaries.append(AdapterSummary(name, 3, 3, now, now, pointing))

    def adapters(self, page_size: int = 0, page_token: str = "") -> Page[AdapterSummary]:
        """Returns as many of them."""
        begin, end = int(page_token or 0), int(page_token or 0) + self.page
        return Page(tuple(self.summaries[begin:end]), str(end) if end < len(self.summaries) else "")

    def resolve(self, reference: str) -> Version:
        """Knows none."""
        raise AdapterNotFound(f"no adapter is named {reference!r}", adapter=reference)


@dataclass(frozen=True)
class Reply:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> dict[str, object]:
        """The body as an object."""
        value = json.loads(self.body)
        assert isinstance(value, dict)
        return value

    def events(self) -> list[dict[str, object]]:
        """The events of a stream but the last one, which must say that it is."""
        lines = [line for line in self.body.decode().split("\n\n") if line]
        assert lines[-1] == "data: [DONE]"
        return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


@dataclass
class Rest:
    """A server that runs and the parts behind it."""

    port: int
    engine: FakeEngineThread
    resolver: FakeResolver
    adapters: FakeAdapters
    metrics: ServerMetrics
    wire: WireServer
    state: list[str]
    compiler: FakeCompiler
    routes: list[str]

    async def post(self, path: str, body: object, **headers: str) -> Reply:
        """Sends JSON, or bytes as they are."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        kind = {"content-type": "application/json"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return await asyncio.to_thread(self.ask, "POST", path, raw, kind | given)

    async def get(self, path: str, method: str = "GET", **headers: str) -> Reply:
        """Asks for a page."""
        return await asyncio.to_thread(self.ask, method, path, None, headers)

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        """Blocks until there is an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, dict(response.getheaders()), response.read())


@contextlib.asynccontextmanager
async def rest_serving(
    chat_template: str | None = ALTERNATE,
    opened: bool = True,
    guard: Guard = Guard(),  # noqa: B008  # frozen
    context_tokens: int = 64,
    limits: ConnectionLimits = ConnectionLimits(30, 30),  # noqa: B008  # frozen
) -> AsyncIterator[Rest]:
    """Serves a fake engine over HTTP, admitted as rpcs are, to whom the guard lets in.

    A request's body may take as long as its head.
    """
    tokenizer: Tokenizer = character_tokenizer(chat_template)  # type: ignore[assignment]  # results depend on flags
    engine = FakeEngineThread(admission=Admission(context_tokens, max(4096, context_tokens), 0x110000))
    resolver, metrics, adapters = FakeResolver(), ServerMetrics(adapter_labels=50), FakeAdapters()
    encoders = EncoderPool([PromptEncoder(tokenizer, context_tokens, 4)])
    compiler = FakeCompiler()
    wire, state = WireServer("127.0.0.1:0"), ["loading"]
    app = RestApp(wire.admitted, lambda: state[0], guard)
    server = RestServer(app, "127.0.0.1:0", guard.tls, limits)
    server.start()
    await wire.listen()
    try:
        if opened:
            intake = Intake(engine, resolver, encoders, compiler)
            app.serves(RestParts(intake, resolver, encoders, chr, metrics, adapters, BASE, limits.head_s))
            await wire.open([])
            state[0] = "ready"
        yield Rest(server.port, engine, resolver, adapters, metrics, wire, state, compiler, app.routes)
    finally:
        await server.stop()
        await wire.stop()
        encoders.close()
