"""Puts a server together and takes it apart: base, registry, engine, metrics, wire. The only place that does.

Knows every part and how none of them works.
"""

import asyncio
import contextlib
import copy
import logging
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from parfocal.engine import Delta, Engine, EngineError, EngineThread, Request, Stop
from parfocal.engine.chats import TemplateProcess
from parfocal.engine.loading.base import ResidentBase, load_base
from parfocal.engine.loading.build import build_engine
from parfocal.engine.memory.budget import MemoryTable
from parfocal.engine.memory.plan import plan_memory
from parfocal.registry import BaseContract, Registry, describe_base, locate_base, open_registry
from parfocal.registry.faces.grpc import RegistryService
from parfocal.rpc import Service, WireServer
from parfocal.rpc.options import checked_address
from parfocal.server.faces.grpc import InferenceService, ServiceParts, describe_model
from parfocal.server.metrics import MetricsEndpoint, ServerMetrics, split_address
from parfocal.server.requests import (
    AdapterResolver,
    EncoderPool,
    PromptEncoder,
    RegistryAdapterSource,
    Tokenizer,
    TokenTexts,
)
from parfocal.server.settings import ServeConfig
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc

_log = logging.getLogger(__name__)
_WATCH_S = 1.0
_LOOKUP_THREADS = 8  # they wait for a disk or another machine, not for a core


@dataclass(frozen=True, slots=True)
class Loaded:
    """What takes long to get: the base in memory, and the registry beside it; how memory is divided."""

    config: ServeConfig
    registry: Registry
    contract: BaseContract
    base: ResidentBase
    memory: MemoryTable


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers. `metrics_port` is 0 where there is no metrics page."""

    config: ServeConfig
    engine: EngineThread
    wire: WireServer
    metrics: ServerMetrics
    metrics_port: int

    @property
    def address(self) -> str:
        """Where gRPC really listens, port 0 replaced by the port that was free."""
        address = self.config.grpc_address
        return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{self.wire.port}"

    async def run_until_terminated(self) -> None:
        """Serves until SIGTERM or SIGINT, then lets running requests finish.

        Raises EngineError if the engine ends by itself: a server without an engine must not look alive.
        """
        watch = asyncio.ensure_future(self._end_with_engine())
        try:
            await self.wire.run_until_terminated(self.config.drain_s)
        finally:
            watch.cancel()
        if not self.engine.alive:
            raise EngineError("the engine stopped by itself; the log says why")

    async def _end_with_engine(self) -> None:
        while self.engine.alive:
            await asyncio.sleep(_WATCH_S)
        _log.critical("the engine has stopped by itself; the server stops too")
        self.wire.terminate()


def load(config: ServeConfig) -> Loaded:
    """Opens the registry and loads the base, which takes seconds to minutes. Blocks.

    Raises what the registry and the engine raise: unreachable or unsupported base, unreadable registry, too
    little memory.
    """
    checked_address(config.grpc_address)
    if config.metrics_address:
        split_address(config.metrics_address)
    registry = open_registry(config.registry)
    files = locate_base(config.base, weights=True)
    base = load_base(files.folder, config.engine(), files.id, _cache_folder(config.base_cache))
    return Loaded(config, registry, describe_base(files), base, plan_memory(base, config.engine()))


def _cache_folder(setting: str) -> Path | None:
    if setting == "auto":
        caches = os.environ.get("XDG_CACHE_HOME")
        return (Path(caches) if caches else Path.home() / ".cache") / "parfocal" / "bases"
    return Path(setting).expanduser() if setting else None


@contextlib.asynccontextmanager
async def running(loaded: Loaded) -> AsyncIterator[RunningServer]:
    """Serves while the scope lasts; ready to answer when it is entered. Raises AddressUnavailable."""
    config, base = loaded.config, loaded.base
    async with contextlib.AsyncExitStack() as stack:
        metrics = ServerMetrics(config.adapter_labels, base.info.memory_bytes)
        source = RegistryAdapterSource(loaded.registry)
        built = build_engine(base, config.engine(), source, metrics, loaded.memory)
        await asyncio.to_thread(_warm_up, built)
        metrics.watch(built)
        engine = EngineThread(built)
        engine.start()
        stack.push_async_callback(asyncio.to_thread, engine.stop)
        metrics_port = _show_metrics(config, metrics, stack)
        parts = _service_parts(loaded, engine, metrics, stack)
        wire = WireServer(config.grpc_address, _services(parts, loaded.registry))
        stack.push_async_callback(wire.stop)
        await wire.start()
        yield RunningServer(config, engine, wire, metrics, metrics_port)


def _warm_up(engine: Engine) -> None:
    """Runs a prompt and one more token, so that no caller pays for what is made on first use."""
    items: list[Delta | Exception] = []
    engine.submit(Request("warm-up", (0, 0), stop=Stop(max_tokens=2, ignore_eos=True)), items.append)
    while engine.live:
        engine.step()
    if isinstance(items[-1], Exception):
        raise items[-1]


def _show_metrics(config: ServeConfig, metrics: ServerMetrics, stack: contextlib.AsyncExitStack) -> int:
    if not config.metrics_address:
        return 0
    endpoint = MetricsEndpoint(metrics.registry, config.metrics_address)
    stack.callback(endpoint.stop)
    return endpoint.port


def _service_parts(
    loaded: Loaded, engine: EngineThread, metrics: ServerMetrics, stack: contextlib.AsyncExitStack
) -> ServiceParts:
    config, base = loaded.config, loaded.base
    longest = max(map(len, base.tokenizer.get_vocab()))
    encoders = EncoderPool(
        [
            PromptEncoder(_tokenizer_copy(base), base.info.context_tokens, longest, _templates(stack))
            for _ in range(config.text_threads)
        ]
    )
    resolver = AdapterResolver(loaded.registry, loaded.contract, _LOOKUP_THREADS)
    stack.callback(encoders.close)
    stack.callback(resolver.close)
    return ServiceParts(
        engine=engine,
        residents=engine.engine,
        resolver=resolver,
        encoders=encoders,
        token_text=TokenTexts(_tokenizer_copy(base)),
        refusals=metrics,
        model=describe_model(
            loaded.contract, base.info, config, has_chat=base.tokenizer.chat_template is not None
        ),
    )


def _templates(stack: contextlib.AsyncExitStack) -> TemplateProcess:
    """A process for chat templates: whoever publishes adapters may have written them; none may hang."""
    templates = TemplateProcess()
    templates.start()
    stack.callback(templates.close)
    return templates


def _tokenizer_copy(base: ResidentBase) -> Tokenizer:
    """Returns a tokenizer for one thread alone: using one changes it."""
    return cast(Tokenizer, copy.deepcopy(base.tokenizer))


def _services(parts: ServiceParts, registry: Registry) -> list[Service]:
    return [
        Service(
            pb_grpc.add_InferenceServiceServicer_to_server,
            InferenceService(parts),
            pb.DESCRIPTOR.services_by_name["InferenceService"].full_name,
        ),
        Service(
            registry_pb_grpc.add_RegistryServiceServicer_to_server,
            RegistryService(registry),
            registry_pb.DESCRIPTOR.services_by_name["RegistryService"].full_name,
        ),
    ]
