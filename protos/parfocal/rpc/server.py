"""A gRPC server that starts and stops well: health, reflection, limits, drain. Knows no service by name."""

import asyncio
import contextlib
import logging
import math
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from parfocal.rpc.access import ANYBODY, NOBODY
from parfocal.rpc.addresses import check_free, checked_address, unavailable
from parfocal.rpc.admission import AdmissionInterceptor, Room
from parfocal.rpc.compression import compression
from parfocal.rpc.guard import Guard, interceptors
from parfocal.rpc.options import server_options
from parfocal.rpc.outcomes import OutcomeInterceptor
from parfocal.rpc.reflection import rpcs_of, shown_descriptors
from parfocal.rpc.tls import server_credentials
from parfocal.v1.limits import PROBE_RPCS, REQUEST_BYTES

log = logging.getLogger(__name__)

# Time for cut rpcs to end, and for the last replies to leave the socket.
_SETTLE_S = 1.0
_LAST_RESORT_S = 3.0
_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Service:
    """A service to serve: `add` is the generated `add_XServicer_to_server`, `name` the full proto name.

    `room` bounds its rpcs within those of the server.
    """

    add: Callable[[Any, Any], None]
    servicer: object
    name: str
    room: Room | None = None


class WireServer:
    """Serves the services at one address, `host:port` or `unix:path`; port 0 means any free one.

    Built inside a running event loop. Health answers for the whole ("") and for each service by its name.
    It can listen before its services are there: rpcs are refused with Loading until `open`. Rpcs beyond
    `max_rpcs` at a time are refused with TooManyRpcs; connections beyond `max_connections` are closed. None
    is no limit. The `guard` says who is let in, over what; without one, everybody, over plain connections.
    """

    def __init__(
        self,
        address: str,
        services: Sequence[Service] = (),
        *,
        max_rpcs: int | None = None,
        max_connections: int | None = None,
        guard: Guard = Guard(),  # noqa: B008  # frozen
    ) -> None:
        self._address = checked_address(address)
        self._guard = guard
        self._services = services
        self._names = [""]
        self.rpcs = Room(math.inf if max_rpcs is None else max_rpcs, "max_rpcs")
        self.probes = Room(PROBE_RPCS.most, "")
        self._admission = AdmissionInterceptor(self.rpcs, self.probes)
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]  # the stubs lack it
        self._terminated = asyncio.Event()
        self._cause = ""
        self._watches_signals = False
        self._port = 0
        self._stopping: asyncio.Future[None] | None = None
        self._server = grpc.aio.server(
            # The first is the outermost: strangers take no room.
            interceptors=[
                compression(),
                OutcomeInterceptor(ANYBODY if guard.keys is None else NOBODY),
                *interceptors(guard, self._admission),
            ],
            options=server_options(REQUEST_BYTES.most, max_rpcs, max_connections),
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    @property
    def port(self) -> int:
        """The port it listens on; 0 before `start` and 1 for a unix socket."""
        return self._port

    @property
    def under_way(self) -> int:
        """How many rpcs are being served now, gRPC's own services apart."""
        return self._admission.under_way

    @property
    def is_draining(self) -> bool:
        """Whether it is stopping, or has stopped."""
        return self._terminated.is_set() or self._admission.draining

    def admitted(self, method: str) -> contextlib.AbstractAsyncContextManager[None]:
        """The scope of a request of another face: refused, counted, drained and cut as rpcs are."""
        return self._admission.admitted(method)

    async def start(self) -> None:
        """Listens, opens and reports SERVING. Raises AddressUnavailable."""
        await self.listen()
        await self.open(self._services)

    async def listen(self) -> None:
        """Listens and reports NOT_SERVING; refuses every rpc with Loading.

        Raises AddressUnavailable, or CredentialsInvalid for a certificate that cannot be used.
        """
        await self.set_serving(False)
        check_free(self._address)
        try:
            self._port = self._add_port()
        except RuntimeError as error:
            raise unavailable(self._address, str(error)) from error
        await self._server.start()

    async def open(self, services: Sequence[Service]) -> None:
        """Serves these from now on and reports SERVING. Call it once.

        Raises RuleMissing if nobody has decided who may call one of their rpcs.
        """
        self._guard.check_total(rpcs_of(service.name for service in services))
        for service in services:
            service.add(service.servicer, self._server)
        self._reflect(services)
        self._admission.opened({each.name: each.room for each in services if each.room is not None})
        self._names += [service.name for service in services]
        await self.set_serving(True)

    async def set_serving(self, serving: bool) -> None:
        """Reports SERVING or NOT_SERVING to health checks; without effect once draining."""
        for name in self._names:
            await self._health.set(name, _SERVING if serving else _NOT_SERVING)

    def terminate(self, cause: str = "") -> None:
        """Makes `run_until_terminated` drain, as SIGTERM does; called again, it stops immediately.

        A server that cannot go on gives the `cause`, with which new rpcs are then refused.
        """
        self._cause = cause or self._cause
        if self._terminated.is_set():
            self._stopping = asyncio.ensure_future(self.stop())
        self._terminated.set()

    async def wait_terminated(self) -> None:
        """Waits for `terminate`."""
        await self._terminated.wait()

    def terminate_on_signals(self, last_resort: Callable[[], None] | None = None) -> None:
        """Makes SIGTERM and SIGINT call `terminate` until the running loop closes.

        `last_resort` is called if the process is still alive some seconds after the second signal: whatever
        holds it up cannot be cancelled.
        """
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._signalled, last_resort)
        self._watches_signals = True

    async def run_until_terminated(self, grace_s: float) -> None:
        """Serves until SIGTERM or SIGINT, then drains; a second signal stops immediately."""
        had_signals = self._watches_signals
        if not had_signals:
            self.terminate_on_signals()
        try:
            await self.wait_terminated()
            await self.drain(grace_s)
        finally:
            if not had_signals:
                self._leave_signals()

    async def drain(self, grace_s: float) -> None:
        """Stops gracefully: reports NOT_SERVING, refuses new rpcs, waits up to `grace_s` for those under way.

        Cuts off what is left with Draining. When this returns, nothing listens any more.
        """
        await self._health.enter_graceful_shutdown()
        self._admission.drain(self._cause)
        log.info("draining: %d rpcs under way have up to %g s to end", self.under_way, grace_s)
        if not await self._admission.wait_idle(grace_s):
            log.warning("%d rpcs still run after %g s and are cut off", self.under_way, grace_s)
        await self.stop()

    async def stop(self) -> None:
        """Stops immediately; rpcs under way are cut off with Draining."""
        self._admission.cut()
        await self._server.stop(_SETTLE_S)

    def _add_port(self) -> int:
        if self._guard.tls is None:
            return self._server.add_insecure_port(self._address)
        return self._server.add_secure_port(self._address, server_credentials(self._guard.tls))

    def _leave_signals(self) -> None:
        self._watches_signals = False
        for number in _SIGNALS:
            asyncio.get_running_loop().remove_signal_handler(number)

    def _signalled(self, last_resort: Callable[[], None] | None) -> None:
        if self._terminated.is_set() and last_resort is not None:
            asyncio.get_running_loop().call_later(_LAST_RESORT_S, last_resort)
        self.terminate()

    def _reflect(self, services: Sequence[Service]) -> None:
        servicers = {service.name: service.servicer for service in services}
        others = (health.SERVICE_NAME, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(
            [*servicers, *others], self._server, shown_descriptors(servicers, others)
        )
