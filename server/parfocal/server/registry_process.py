"""A registry as a server of its own, without base and engine: assembles it and takes it down."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

from parfocal.registry import Registry, open_registry
from parfocal.registry.disk import cache_home
from parfocal.registry.faces.grpc import RegistryService
from parfocal.rpc import Guard, WireServer
from parfocal.server.entrance import guard_of
from parfocal.server.errors import BadSetting
from parfocal.server.exposure import (
    check_exposure,
    most_connections,
    most_http_connections,
    most_page_connections,
)
from parfocal.server.metrics import READY, MetricsEndpoint, RegistryMetrics
from parfocal.server.quotas import hold_to_quotas
from parfocal.server.registry_rpcs import as_service, usage_of
from parfocal.server.settings import Resolved, ServeConfig, kept_folders
from parfocal.server.trust import signature_policy

# Beside a server of adapters on the same machine.
_ADDRESSES = {"grpc_address": "127.0.0.1:50061", "http_address": "", "metrics_address": "127.0.0.1:9465"}


@dataclass(frozen=True, slots=True)
class RunningRegistry:
    """A registry that answers. Ports are 0 where there is no metrics page, and nothing is said over HTTP."""

    config: ServeConfig
    wire: WireServer
    metrics_port: int
    http_port: int

    @property
    def address(self) -> str:
        """Where gRPC actually listens, with port 0 replaced by the port it got."""
        address = self.config.grpc_address
        return address if address.startswith("unix:") else f"{address.rpartition(':')[0]}:{self.wire.port}"

    @property
    def endpoint(self) -> str:
        """What the Hub's clients are told as HF_ENDPOINT; empty where they are not answered."""
        scheme = "https" if self.config.tls_cert else "http"
        host = self.config.http_address.rpartition(":")[0]
        return f"{scheme}://{host}:{self.http_port}" if self.http_port else ""

    async def run_until_terminated(self) -> None:
        """Serves until SIGTERM or SIGINT, then lets what is under way finish."""
        await self.wire.run_until_terminated(self.config.drain_s)


def registry_config(resolved: Resolved) -> ServeConfig:
    """The settings of a registry's own process, which listens beside a server unless it is told where."""
    untold = {name: each for name, each in _ADDRESSES.items() if resolved.sources[name] == "default"}
    return replace(resolved.config, **untold)  # type: ignore[arg-type]  # texts both


@contextlib.asynccontextmanager
async def running_registry(config: ServeConfig) -> AsyncIterator[RunningRegistry]:
    """Serves the registry that `config` names while the scope lasts.

    Raises AddressInvalid, AddressUnavailable, BadSetting if strangers could reach it and nobody needs a key,
    and what opening the registry raises.
    """
    check_exposure(config, {"grpc_address": config.grpc_address, "http_address": config.http_address})
    guard, policy = guard_of(config), signature_policy(config)
    async with contextlib.AsyncExitStack() as stack:
        wire = WireServer(
            config.grpc_address,
            max_rpcs=config.max_rpcs,
            max_connections=most_connections(config),
            guard=guard,
        )
        await wire.listen()
        stack.push_async_callback(wire.stop)
        registry = await asyncio.to_thread(open_registry, config.registry, isolated=True, policy=policy)
        hold_to_quotas(registry, config)
        service = RegistryService(registry, limits=config.service())
        port = 0
        if config.metrics_address:
            metrics = RegistryMetrics(usage_of(wire, service), kept_folders(config.registry, ""))
            state = lambda: "draining" if wire.is_draining else READY  # noqa: E731
            most = most_page_connections()
            pages = MetricsEndpoint(metrics.registry, config.metrics_address, state, most)
            stack.callback(pages.stop)
            port = pages.port
        http_port = 0
        if config.http_address:
            http_port = await stack.enter_async_context(_hub(config, registry, service, wire, guard))
        await wire.open([as_service(service)])
        yield RunningRegistry(config, wire, port, http_port)


@contextlib.asynccontextmanager
async def _hub(
    config: ServeConfig, registry: Registry, service: RegistryService, wire: WireServer, guard: Guard
) -> AsyncIterator[int]:
    """Answers the Hub's clients while the scope lasts; yields the port."""
    try:
        from parfocal.registry.faces.hub import HubApp, UploadStore
        from parfocal.server.faces.http import ConnectionLimits, RestServer
    except ImportError as error:
        raise BadSetting(
            f"http_address needs more than is installed ({error}): pip install 'parfocal[hub]'",
            field="http_address",
        ) from error
    store = await asyncio.to_thread(UploadStore, cache_home() / "hub", config.registry)
    app = HubApp(registry, store, service.uploads, wire.admitted, guard)
    await app.open()
    limits = ConnectionLimits(connections=most_http_connections(config))
    server = RestServer(app, config.http_address, guard.tls, limits)
    server.start()
    try:
        yield server.port
    finally:
        await server.stop()
        store.close()
