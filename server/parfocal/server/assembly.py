"""Assembles a server and takes it down: base, registry, engine, metrics, wire. The only place that does.

Knows every part and how none of them works.
"""

import asyncio
import contextlib
import copy
import hashlib
import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import cast

from parfocal.engine import AdapterKey, BaseCache, ConstraintsUnavailable, EngineFailed, EngineThread
from parfocal.engine.chats import TemplateProcess, default_template
from parfocal.engine.constraints import ConstraintCompiler, open_compiler
from parfocal.engine.loading import build_engine, load_base, plan_memory
from parfocal.engine.memory import MemoryTable
from parfocal.engine.model import ResidentBase
from parfocal.registry import (
    BaseContract,
    Registry,
    RegistryError,
    Version,
    describe_base,
    locate_base,
    open_registry,
)
from parfocal.registry.disk import cache_home
from parfocal.registry.faces.grpc import RegistryService
from parfocal.registry.remote import FollowedRegistry, RemoteRegistry
from parfocal.registry.signing import bundles_of
from parfocal.rpc import Service, WireError, WireServer
from parfocal.server.canaries import Aborter, Splits
from parfocal.server.doors import Doors, listening
from parfocal.server.errors import BadSetting
from parfocal.server.faces.grpc import InferenceService, ServiceParts, describe_model
from parfocal.server.faces.openai import RestParts, ServedBase
from parfocal.server.metrics import ServerMetrics
from parfocal.server.quotas import hold_to_quotas
from parfocal.server.registry_rpcs import as_service, usage_of
from parfocal.server.requests import (
    AdapterResolver,
    EncoderPool,
    Intake,
    PromptEncoder,
    RegistryAdapterSource,
    SignatureCheck,
    SignedVersions,
    Tokenizer,
    TokenTexts,
    Versions,
)
from parfocal.server.settings import ServeConfig, base_cache_folder, kept_folders
from parfocal.server.trust import signature_policy
from parfocal.server.warm_up import warm_up
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc

log = logging.getLogger(__name__)
_WATCH_S = 0.25
# A registry that answers has by then said what has moved since the last run.
_FIRST_LOOK_S = 5.0
_LOOKUP_THREADS = 8  # they wait for a disk or another machine, not for a CPU


@dataclass(frozen=True, slots=True)
class Loaded:
    """What takes long to load: the base in memory, the registry beside it, and the memory plan.

    As long as `cache` is open, no other process removes the base from it. `followed` is the registry where
    another process has it. Each version is held to `signed`, where signatures are asked for, before it is
    used.
    """

    config: ServeConfig
    registry: Registry
    contract: BaseContract
    base: ResidentBase
    memory: MemoryTable
    cache: BaseCache | None = None
    followed: FollowedRegistry | None = None
    signed: SignatureCheck | None = None

    @property
    def versions(self) -> Versions:
        """Where requests look adapters up."""
        return self.followed or self.registry


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that answers. `metrics_port` is 0 where there is no metrics page, `http_port` without HTTP."""

    config: ServeConfig
    engine: EngineThread
    wire: WireServer
    metrics: ServerMetrics
    metrics_port: int
    http_port: int = 0

    @property
    def address(self) -> str:
        """Where gRPC actually listens, with port 0 replaced by the port it got."""
        address = self.config.grpc_address
        return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{self.wire.port}"

    async def run_until_terminated(self) -> None:
        """Serves until SIGTERM or SIGINT, then lets running requests finish.

        Raises EngineFailed if the engine stops by itself: a server without an engine must not look alive.
        """
        watch = asyncio.ensure_future(self._end_with_engine())
        try:
            await self.wire.run_until_terminated(self.config.drain_s)
        finally:
            watch.cancel()
        if not self.engine.alive:
            raise self.engine.failure or EngineFailed("the engine stopped by itself; the log says why")

    async def _end_with_engine(self) -> None:
        while self.engine.alive:
            await asyncio.sleep(_WATCH_S)
        cause = str(self.engine.failure or "the engine has stopped; send the request to another server")
        log.critical("stopping the server: %s", cause)
        self.wire.terminate(cause)


def load(config: ServeConfig) -> Loaded:
    """Opens the registry and loads the base, which takes seconds to minutes. Blocks.

    Raises BadSetting, and what the registry and the engine raise: unknown adapter to be pinned, unreachable
    or unsupported base, unreadable registry, too little memory.
    """
    policy = signature_policy(config)
    registry = open_registry(config.registry, isolated=True, policy=policy)
    hold_to_quotas(registry, config)
    followed = _followed(config, registry, signatures=not policy.is_off)
    bundles = _bundles_in(registry) if followed is None else followed.bundles
    signed = None if policy.is_off else SignedVersions(bundles, policy)
    _check_pinned(config, followed or registry, signed)
    if followed is None:
        _check_reachable(config.registry, registry)
    files = locate_base(config.base, weights=True)
    contract = describe_base(files)  # refuses within a second what loading would refuse after minutes
    cache = _base_cache(config, files.id)
    base = load_base(files.folder, config.engine(), files.id, cache)
    memory = plan_memory(base, config.engine())
    return Loaded(config, registry, contract, base, memory, cache, followed, signed)


def _check_reachable(location: str, registry: Registry) -> None:
    """Warns of a registry that does not answer, while the base loads: it may come later."""

    def ask() -> None:
        try:
            registry.adapters(page_size=1)
        except (RegistryError, WireError) as error:
            log.warning(
                "registry %s does not answer; until it does, only the base and adapters that are loaded "
                "can be served: %s",
                location, error,
            )  # fmt: skip

    threading.Thread(target=ask, name="parfocal-registry-check", daemon=True).start()


def _followed(config: ServeConfig, registry: Registry, signatures: bool) -> FollowedRegistry | None:
    """A registry behind gRPC, followed from now on; what is known of it is kept in the user's cache."""
    if not isinstance(registry, RemoteRegistry):
        return None
    # Each server of a machine has its own.
    name = hashlib.sha256(f"{config.registry} {config.grpc_address}".encode()).hexdigest()[:32]
    file = cache_home() / "following" / f"{name}.json"
    followed = FollowedRegistry(registry, config.registry, file, config.switch_s, signatures)
    followed.start(_FIRST_LOOK_S)
    return followed


def _bundles_in(registry: Registry) -> Callable[[Version], tuple[bytes, ...]]:
    """What finds the signatures of a version here."""
    return lambda version: bundles_of(registry.signatures(version.name, version.version))


def _check_pinned(config: ServeConfig, registry: Versions, signed: SignatureCheck | None) -> None:
    """Refuses what can be known to be wrong before the base is loaded."""
    if config.pinned and len(config.pinned) >= config.slots:
        raise BadSetting(
            f"pin names {len(config.pinned)} adapters and slots is {config.slots}; at least one slot must be "
            "left for others, so raise slots or pin fewer",
            field="pin",
        )
    for reference in config.pinned:
        version = registry.resolve(reference)
        if signed is not None:
            signed(version)


def _base_cache(config: ServeConfig, name: str) -> BaseCache | None:
    folder = base_cache_folder(config.base_cache)
    return None if folder is None else BaseCache(folder, config.base_cache_bytes, name)


@contextlib.asynccontextmanager
async def running(loaded: Loaded, doors: Doors | None = None) -> AsyncIterator[RunningServer]:
    """Serves while the scope lasts; ready to answer when it is entered.

    Opens its own `doors` unless given some that listen already. Raises AddressUnavailable, and what loading
    the pinned adapters raises.
    """
    config, base = loaded.config, loaded.base
    async with contextlib.AsyncExitStack() as stack:
        if doors is None:
            doors = await stack.enter_async_context(listening(config))
        metrics = doors.metrics
        if loaded.followed is not None:
            stack.callback(loaded.followed.close)
            metrics.follows(loaded.followed.staleness_s)
        source = RegistryAdapterSource(loaded.versions)
        splits = _splits(loaded, stack)
        metrics.splits(splits.shown)
        resolver = AdapterResolver(loaded.versions, loaded.contract, _LOOKUP_THREADS, loaded.signed, splits)
        stack.callback(resolver.close)
        pinned = await _pinned(resolver, config)
        built = build_engine(base, config.engine(), source, metrics, loaded.memory)
        await asyncio.to_thread(warm_up, built, pinned)
        metrics.keeps(kept_folders(config.registry, config.base_cache))
        metrics.base_loaded(base.info.memory_bytes)
        metrics.watch(built)
        engine = EngineThread(built)
        engine.start()
        stack.push_async_callback(asyncio.to_thread, engine.stop)
        has_chat = base.tokenizer.chat_template is not None
        encoders = _encoders(base, config.text_threads, stack)
        model = describe_model(loaded.contract, base.info, config, has_chat, pinned)
        model.metrics_address = doors.metrics_address
        parts = ServiceParts(
            intake=Intake(engine, resolver, encoders, await _compiler(base, stack), splits),
            residents=built,
            resolver=resolver,
            encoders=encoders,
            token_text=TokenTexts(_tokenizer_copy(base)),
            refusals=metrics,
            model=model,
        )
        stack.push_async_callback(doors.wire.stop)
        doors.serves(engine)
        registry_service = RegistryService(loaded.registry, limits=config.service())
        metrics.bounded(usage_of(doors.wire, registry_service))
        doors.rest.serves(_rest_parts(parts, loaded))
        await doors.wire.open(_services(parts, registry_service))
        yield RunningServer(config, engine, doors.wire, metrics, doors.metrics_port, doors.http_port)


def _splits(loaded: Loaded, stack: contextlib.AsyncExitStack) -> Splits:
    """Who gets which version of aliases with canaries; what is worse is aborted at the registry."""
    aborter = Aborter(loaded.registry, f"parfocal serve at {socket.gethostname()}")
    aborter.start()
    stack.callback(aborter.close)
    return Splits(aborter.abort)


async def _pinned(resolver: AdapterResolver, config: ServeConfig) -> list[AdapterKey]:
    """The adapters to be pinned, each content once. Raises what AdapterResolver raises."""
    keys = [key for each in config.pinned if (key := (await resolver.resolve(each)).adapter) is not None]
    return list({key.digest: key for key in keys}.values())


def _encoders(base: ResidentBase, threads: int, stack: contextlib.AsyncExitStack) -> EncoderPool:
    longest = max(map(len, base.tokenizer.get_vocab()))
    encoders = EncoderPool(
        [
            PromptEncoder(_tokenizer_copy(base), base.info.context_tokens, longest, _templates(base, stack))
            for _ in range(threads)
        ]
    )
    stack.callback(encoders.close)
    return encoders


async def _compiler(base: ResidentBase, stack: contextlib.AsyncExitStack) -> ConstraintCompiler:
    """Loads its vocabulary now, while nobody waits: that holds up all Python threads, for up to seconds."""
    info = base.info
    compiler = open_compiler(base.tokenizer.backend_tokenizer, info.vocabulary, info.eos_ids)
    stack.push_async_callback(asyncio.to_thread, compiler.close)
    try:
        await asyncio.to_thread(compiler.prepare)
    except ConstraintsUnavailable as error:
        log.info("answers will not be held to a form: %s", error)
    return compiler


def _templates(base: ResidentBase, stack: contextlib.AsyncExitStack) -> TemplateProcess:
    """A process for chat templates: anyone who publishes adapters may have written them; none may hang."""
    templates = TemplateProcess()
    if base.tokenizer.chat_template is not None:
        templates.start()
    stack.callback(templates.close)
    return templates


def _tokenizer_copy(base: ResidentBase) -> Tokenizer:
    """A tokenizer for one thread alone: using one changes it."""
    return cast(Tokenizer, copy.deepcopy(base.tokenizer))


def _rest_parts(parts: ServiceParts, loaded: Loaded) -> RestParts:
    info, tokenizer = loaded.base.info, loaded.base.tokenizer
    return RestParts(
        intake=parts.intake,
        resolver=parts.resolver,
        encoders=parts.encoders,
        token_text=parts.token_text,
        refusals=parts.refusals,
        adapters=loaded.registry,
        base=ServedBase(
            id=loaded.contract.id,
            digest=loaded.contract.config_digest,
            context_tokens=info.context_tokens,
            vocabulary_size=info.vocabulary,
            tokenizer={
                "bos_token": tokenizer.bos_token,
                "eos_token": tokenizer.eos_token,
                "pad_token": tokenizer.pad_token,
                "chat_template": default_template(tokenizer.chat_template, tools=False),
            },
        ),
    )


def _services(parts: ServiceParts, registry: RegistryService) -> list[Service]:
    return [
        Service(
            pb_grpc.add_InferenceServiceServicer_to_server,
            InferenceService(parts),
            pb.DESCRIPTOR.services_by_name["InferenceService"].full_name,
        ),
        as_service(registry),
    ]
