"""Listens for HTTP beside gRPC, in the same event loop, until it is stopped. Knows no route."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp

from parfocal.rpc import AddressInvalid, AddressUnavailable, TlsFiles, renewing_context
from parfocal.server.faces.http.protocol import ConnectionLimits, protocol_within
from parfocal.server.faces.http.tls_port import TlsPort

_BACKLOG = 2048
_KEEP_ALIVE_S = 75
# What has been cut has ended by then, and only a caller who reads nothing holds a connection open.
_SETTLE_S = 1


class RestServer:
    """An HTTP server; whoever stops the whole server lets requests end first, gRPC's and these alike."""

    def __init__(
        self,
        app: ASGIApp,
        address: str,
        tls: TlsFiles | None = None,
        limits: ConnectionLimits = ConnectionLimits(),  # noqa: B008  # frozen
    ) -> None:
        """Binds `host:port`; port 0 takes any free one. Raises AddressInvalid or AddressUnavailable.

        With `tls`, callers connect over it, as they do to gRPC; who asks without is told so.
        """
        self._socket = _bound(address)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=protocol_within(limits),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_SETTLE_S,
        )
        if tls is not None:
            config.load()
            config.ssl = renewing_context(tls, TlsPort)
        self._server = _Server(config, limits.head_s)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to answer; it listens since it was built."""
        self._task = asyncio.ensure_future(self._server.serve([self._socket]))

    async def stop(self) -> None:
        """Stops listening and closes every connection."""
        self._server.leave()
        if self._task is not None:
            await self._task
        self._socket.close()


class _Server(uvicorn.Server):
    """Leaves signals to whoever runs the process, and wakes up to be stopped, not ten times a second."""

    def __init__(self, config: uvicorn.Config, handshake_s: float) -> None:
        super().__init__(config)
        self._handshake_s = handshake_s
        self._leaves = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._leaves.set()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens as uvicorn does, but does not wait a minute for who connects over TLS and says nothing."""
        config, loop = self.config, asyncio.get_running_loop()

        def protocol() -> asyncio.BaseProtocol:
            return config.http_protocol_class(  # type: ignore[call-arg]  # what uvicorn gives it
                config=config, server_state=self.server_state, app_state={}
            )

        self.servers = [
            await loop.create_server(
                protocol,
                sock=each,
                ssl=config.ssl,
                backlog=config.backlog,
                ssl_handshake_timeout=self._handshake_s if config.ssl else None,
            )
            for each in sockets or ()
        ]
        self.started = True

    async def main_loop(self) -> None:
        await self.on_tick(0)  # lays down the headers of every response
        await self._leaves.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _bound(address: str) -> socket.socket:
    host, colon, port = address.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or int(port) > 65535 or "/" in host:
        raise AddressInvalid(
            f"{address!r} is not an address for HTTP; write host:port, such as 127.0.0.1:8000"
        )
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, int(port)), family=family, backlog=_BACKLOG)
    except OSError as error:
        cause = os.strerror(error.errno) if error.errno else error
        raise AddressUnavailable(
            f"cannot answer HTTP at {address}: {cause}; choose another", address=address
        ) from error
