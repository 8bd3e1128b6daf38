"""A gRPC server that stops well: health, reflection, limits, drain on SIGTERM. Knows no service by name."""

import asyncio
import logging
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from parfocal.rpc.drain import DrainInterceptor
from parfocal.rpc.errors import AddressUnavailable
from parfocal.rpc.interceptor import ErrorInterceptor
from parfocal.rpc.options import MAX_MESSAGE_BYTES, checked_address, server_options

_log = logging.getLogger(__name__)

# For rpcs to end that were cut, and for the last replies to leave the socket.
_SETTLE_S = 1.0
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@dataclass(frozen=True, slots=True)
class Service:
    """A service to serve: `add` is the generated `add_XServicer_to_server`, `name` the full proto name."""

    add: Callable[[Any, Any], None]
    servicer: object
    name: str


class WireServer:
    """Serves the services at one address, `host:port` or `unix:path`; port 0 means any free one.

    Built inside a running event loop. Health answers for the whole ("") and for each service by its name.
    """

    def __init__(
        self, address: str, services: Sequence[Service], max_message_bytes: int = MAX_MESSAGE_BYTES
    ) -> None:
        self._address = checked_address(address)
        self._names = ["", *(service.name for service in services)]
        self._drain = DrainInterceptor()
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
        self._terminated = asyncio.Event()
        self._port = 0
        self._stopping: asyncio.Future[None] | None = None
        self._server = grpc.aio.server(
            interceptors=[ErrorInterceptor(), self._drain], options=server_options(max_message_bytes)
        )
        for service in services:
            service.add(service.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        named = [service.name for service in services]
        reflection.enable_server_reflection(
            [*named, health.SERVICE_NAME, reflection.SERVICE_NAME], self._server
        )

    @property
    def port(self) -> int:
        """The port it listens on; 0 before `start` and 1 for a unix socket."""
        return self._port

    @property
    def under_way(self) -> int:
        """How many rpcs are being served now, gRPC's own services apart."""
        return self._drain.under_way

    async def start(self) -> None:
        """Listens and reports SERVING. Raises AddressUnavailable."""
        await self.set_serving(False)
        try:
            self._port = self._server.add_insecure_port(self._address)
        except RuntimeError as error:
            raise AddressUnavailable(f"Cannot listen at {self._address}: {error}. Is it in use?") from error
        await self._server.start()
        await self.set_serving(True)

    async def set_serving(self, serving: bool) -> None:
        """Reports SERVING or NOT_SERVING to health checks; without effect once draining."""
        for name in self._names:
            await self._health.set(name, _SERVING if serving else _NOT_SERVING)

    def terminate(self) -> None:
        """Makes `run_until_terminated` drain, as SIGTERM does; called again, it stops at once."""
        if self._terminated.is_set():
            self._stopping = asyncio.ensure_future(self.stop())
        self._terminated.set()

    async def run_until_terminated(self, grace_s: float) -> None:
        """Serves until SIGTERM or SIGINT, then drains; a second signal stops at once."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.terminate)
        try:
            await self._terminated.wait()
            await self.drain(grace_s)
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    async def drain(self, grace_s: float) -> None:
        """Stops well: reports NOT_SERVING, refuses new rpcs, waits up to `grace_s` for those under way.

        What is left then is cut off with Draining. When this returns, nothing listens any more.
        """
        await self._health.enter_graceful_shutdown()
        self._drain.drain()
        if not await self._drain.wait_idle(grace_s):
            _log.warning("%d rpcs still run after %g s and are cut off", self.under_way, grace_s)
        await self.stop()

    async def stop(self) -> None:
        """Stops at once; rpcs under way are cut off with Draining."""
        self._drain.cut()
        await self._server.stop(_SETTLE_S)
