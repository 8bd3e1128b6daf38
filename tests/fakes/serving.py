"""InferenceService over a real channel, with everything behind it faked."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import grpc

from fakes.engine.constraints import FakeCompiler
from fakes.engine.engine_thread import FakeEngineThread
from fakes.tokenizer import ALTERNATE, character_tokenizer
from parfocal.engine import AdapterKey
from parfocal.engine.scheduling import Admission
from parfocal.rpc import Guard, Service, WireServer, open_channel
from parfocal.server.faces.grpc.service import InferenceService, ServiceParts
from parfocal.server.metrics.server_metrics import ServerMetrics
from parfocal.server.requests import EncoderPool, Intake, Manner, PromptEncoder, Resolved, Tokenizer
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

NAME = pb.DESCRIPTOR.services_by_name["InferenceService"].full_name


class UnknownAdapter(Exception):
    """What a registry raises for a name that nobody published."""

    status = "NOT_FOUND"
    reason = "ADAPTER_NOT_FOUND"


@dataclass
class FakeResolver:
    """References and what they mean now; change `adapters` to move an alias."""

    adapters: dict[str, AdapterKey] = field(default_factory=dict)
    manners: dict[str, Manner] = field(default_factory=dict)

    async def resolve(self, reference: str, key: str = "") -> Resolved:
        """Returns what the reference means now."""
        if not reference:
            return Resolved()
        if reference not in self.adapters:
            raise UnknownAdapter(f"there is no adapter {reference}; see parfocal ls")
        return Resolved(self.adapters[reference], self.manners.get(reference, Manner()))


@dataclass
class Served:
    """A running server and the parts behind it."""

    stub: "pb_grpc.InferenceServiceAsyncStub"
    engine: FakeEngineThread
    resolver: FakeResolver
    metrics: ServerMetrics
    wire: WireServer
    channel: grpc.aio.Channel
    compiler: FakeCompiler

    def requests(self, adapter: str, version: str, outcome: str) -> float:
        """Returns what `parfocal_requests_total` says of these labels."""
        labels = {"adapter": adapter, "version": version, "outcome": outcome}
        return self.metrics.registry.get_sample_value("parfocal_requests_total", labels) or 0


@contextlib.asynccontextmanager
async def serving(
    chat_template: str | None = ALTERNATE,
    *beside: Service,
    port: int = 0,
    context_tokens: int = 64,
    guard: Guard = Guard(),  # noqa: B008  # frozen
) -> AsyncIterator[Served]:
    """Serves a fake engine, and other services beside it, on a port of the loopback; 0 is a free one."""
    tokenizer: Tokenizer = character_tokenizer(chat_template)  # type: ignore[assignment]  # results depend on flags
    compiler = FakeCompiler()
    engine, resolver, metrics = (
        FakeEngineThread(admission=Admission(context_tokens, max(4096, context_tokens), 0x110000)),
        FakeResolver(),
        ServerMetrics(adapter_labels=50),
    )
    encoders = EncoderPool([PromptEncoder(tokenizer, context_tokens, 4)])
    parts = ServiceParts(
        intake=Intake(engine, resolver, encoders, compiler),
        residents=engine,
        resolver=resolver,
        encoders=encoders,
        token_text=chr,
        refusals=metrics,
        model=pb.Model(
            context_tokens=context_tokens,
            vocabulary_size=0x110000,
            has_chat_template=chat_template is not None,
        ),
    )
    service = Service(pb_grpc.add_InferenceServiceServicer_to_server, InferenceService(parts), NAME)
    wire = WireServer(f"127.0.0.1:{port}", [service, *beside], guard=guard)
    await wire.start()
    try:
        async with open_channel(f"127.0.0.1:{wire.port}") as channel:
            stub: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
            yield Served(stub, engine, resolver, metrics, wire, channel, compiler)
    finally:
        await wire.stop()
        encoders.close()
