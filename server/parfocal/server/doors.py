"""Every address of a server, bound before anything slow begins. Knows neither base nor registry."""

import contextlib
from collections.abc import AsyncIterator, Iterator

from parfocal.engine import EngineThread
from parfocal.rpc import AddressInvalid, AddressUnavailable, WireServer
from parfocal.server.entrance import guard_of
from parfocal.server.exposure import (
    check_exposure,
    most_connections,
    most_http_connections,
    most_page_connections,
)
from parfocal.server.faces.http import ConnectionLimits, RestServer
from parfocal.server.faces.openai import RestApp
from parfocal.server.metrics import READY, MetricsEndpoint, ServerMetrics
from parfocal.server.settings import ServeConfig


class Doors:
    """A server's wire and its operators' pages, which report its state while it loads, serves and drains.

    The `guard` says who is let in, on every face.
    """

    def __init__(self, config: ServeConfig) -> None:
        self._config = config
        self.guard = guard_of(config)
        self.wire = WireServer(
            config.grpc_address,
            max_rpcs=config.max_rpcs,
            max_connections=most_connections(config),
            guard=self.guard,
        )
        self.metrics = ServerMetrics(config.adapter_labels)
        self.metrics_port = 0
        self.rest = RestApp(self.wire.admitted, self.state, self.guard)
        self.http_port = 0
        self._engine: EngineThread | None = None

    @property
    def metrics_address(self) -> str:
        """Where the metrics page is, with port 0 replaced by the port it got; empty if there is none."""
        host = self._config.metrics_address.rpartition(":")[0]
        return f"{host}:{self.metrics_port}" if self.metrics_port else ""

    def serves(self, engine: EngineThread) -> None:
        """Notes that requests find `engine` from now on."""
        self._engine = engine

    def is_well(self) -> bool:
        """Whether the server does what it should: all but one whose engine has failed."""
        return self.state() != "failed"

    def state(self) -> str:
        """The server's state: loading, ready, draining or failed. May be called on any thread."""
        if self.wire.is_draining:
            return "draining"
        if self._engine is None:
            return "loading"
        return READY if self._engine.alive else "failed"


@contextlib.asynccontextmanager
async def listening(config: ServeConfig) -> AsyncIterator[Doors]:
    """Listens at every address of `config` while the scope lasts; rpcs are refused with Loading at first.

    Raises AddressInvalid, or AddressUnavailable naming the address and its setting; BadSetting if strangers
    could reach one and nobody needs a key.
    """
    check_exposure(config, {"grpc_address": config.grpc_address, "http_address": config.http_address})
    async with contextlib.AsyncExitStack() as stack:
        with _naming("grpc_address"):
            doors = Doors(config)
            await doors.wire.listen()
        stack.push_async_callback(doors.wire.stop)
        if config.http_address:
            with _naming("http_address"):
                limits = ConnectionLimits(connections=most_http_connections(config))
                rest = RestServer(doors.rest, config.http_address, doors.guard.tls, limits)
            stack.push_async_callback(rest.stop)
            rest.start()
            doors.http_port = rest.port
        if config.metrics_address:
            with _naming("metrics_address"):
                most = most_page_connections()
                pages = MetricsEndpoint(doors.metrics.registry, config.metrics_address, doors.state, most)
            stack.callback(pages.stop)
            doors.metrics_port = pages.port
        yield doors


@contextlib.contextmanager
def _naming(setting: str) -> Iterator[None]:
    """Prefixes the setting to the message about an address that cannot be bound."""
    try:
        yield
    except (AddressInvalid, AddressUnavailable) as error:
        flag = f"--{setting.replace('_', '-')}"
        raise type(error)(f"{flag}: {error}", **error.metadata) from error
