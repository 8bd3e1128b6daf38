"""Listens for HTTP beside gRPC, in the same event loop, until it is stopped. Knows no route."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from parfocal.rpc import AddressInvalid, AddressUnavailable, TlsFiles, renewing_context
from parfocal.v1.limits import HANDSHAKE_S

_BACKLOG = 2048
_HEAD_BYTES = 64 << 10
_KEEP_ALIVE_S = 75
# What has been cut has ended by then, and only a caller who reads nothing holds a connection open.
_SETTLE_S = 1


class RestServer:
    """An HTTP server; whoever stops the whole server lets requests end first, gRPC's and these alike."""

    def __init__(
        self, app: ASGIApp, address: str, tls: TlsFiles | None = None, head_wait_s: float = HANDSHAKE_S.most
    ) -> None:
        """Binds `host:port`; port 0 takes any free one. Raises AddressInvalid or AddressUnavailable.

        With `tls`, callers connect over it, as they do to gRPC. A request's head must come within
        `head_wait_s` seconds.
        """
        self._socket = _bound(address)
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app,
            http=type("_Protocol", (_PromptProtocol,), {"head_wait_s": head_wait_s}),
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            backlog=_BACKLOG,
            h11_max_incomplete_event_size=_HEAD_BYTES,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_SETTLE_S,
        )
        if tls is not None:
            config.load()
            config.ssl = renewing_context(tls)
        self._server = _Server(config)
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

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._leaves = asyncio.Event()

    def leave(self) -> None:
        self.should_exit = True
        self._leaves.set()

    async def main_loop(self) -> None:
        await self.on_tick(0)  # lays down the headers of every response
        await self._leaves.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _PromptProtocol(H11Protocol):
    """Closes a connection whose head takes too long: who sends a byte a second must not hold a descriptor."""

    head_wait_s: float

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._seen: object = None
        self._late = self.loop.call_later(self.head_wait_s, self._close_late)

    def data_received(self, data: bytes) -> None:
        if self._late.cancelled():
            self._late = self.loop.call_later(self.head_wait_s, self._close_late)
        super().data_received(data)
        if self.cycle is not self._seen or (self.cycle is not None and not self.cycle.response_complete):
            self._seen = self.cycle
            self._late.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        super().connection_lost(exc)

    def _close_late(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(_too_late(self.head_wait_s))
            self.transport.close()


def _too_late(wait_s: float) -> bytes:
    """The whole response to a head that never came: there is no request that the application could answer."""
    message = f"the head of the request did not arrive within {wait_s:g} s; send it faster"
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": "head_too_slow"}
    body = json.dumps({"error": error | {"reason": "HEAD_TOO_SLOW", "metadata": {}}})
    head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
    return f"HTTP/1.1 408 Request Timeout\r\n{head}\r\n\r\n{body}".encode()


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
