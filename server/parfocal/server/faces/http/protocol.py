"""One connection of HTTP, spoken by uvicorn, and what ends it early. Knows no route.

Who sends a head too slowly, reads too slowly, does not speak HTTP or is one too many is told so, as far as
somebody listens, and keeps no descriptor, place or memory.
"""

import asyncio
import json
from dataclasses import dataclass
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, H11Protocol

from parfocal.server.faces.http.framing import BoundedConnection, FramingRefused
from parfocal.v1.limits import HANDSHAKE_S, READ_S

# What a caller must take of an answer in `read_s`, or the rest of it.
_LEAST_READ = 16 << 10
# Closed with something unread, a connection is reset, and who was told something never hears it.
_LINGER_S = 1.0


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Seconds for a handshake or a request's head, and for a caller to read on; connections at a time."""

    head_s: float = HANDSHAKE_S.most
    read_s: float = READ_S.most
    connections: int | None = None


def protocol_within(limits: ConnectionLimits) -> type[H11Protocol]:
    """What uvicorn makes for each connection."""
    held = limits

    class _Within(_BoundedProtocol):
        limits = held

    return _Within


class _BoundedProtocol(H11Protocol):
    limits: ConnectionLimits

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn: BoundedConnection = BoundedConnection()
        self._seen: object = None
        self._late: asyncio.TimerHandle
        self._unread: asyncio.TimerHandle | None = None
        self._left = 0
        self._refused = False
        self.heard = self.loop.time()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is being answered on this connection."""
        is_busy = self.cycle is not None and not self.cycle.response_complete
        return not is_busy and not self.transport.is_closing()

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        # Paused as soon as anything is left unread: only then is it known that somebody does not read.
        transport.set_write_buffer_limits(high=1, low=0)
        self._late = self.loop.call_later(self.limits.head_s, self._close_late)
        most = self.limits.connections
        if most is not None and len(self.connections) > most and not self._replaces_idle():
            said = f"{most} connections are busy, as many as may be; try later, or raise --max-connections"
            self._refuse(503, "TOO_MANY_CONNECTIONS", said)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self.heard = self.loop.time()
        if self._late.cancelled():
            self._late = self.loop.call_later(self.limits.head_s, self._close_late)
        super().data_received(data)
        if self.cycle is not self._seen or (self.cycle is not None and not self.cycle.response_complete):
            self._seen = self.cycle
            self._late.cancel()

    def connection_lost(self, exc: Exception | None) -> None:
        self._late.cancel()
        self.resume_writing()
        super().connection_lost(exc)

    def on_response_complete(self) -> None:
        self.heard = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def send_400_response(self, msg: str) -> None:
        """Says why this is no request; uvicorn's own answer is no object of JSON."""
        fault = self.conn.fault
        assert fault is not None, "only a connection's fault leads here"
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):  # an answer has been begun
            self.transport.close()
        elif isinstance(fault, FramingRefused):
            self._refuse(fault.error_status_hint, fault.reason, str(fault))
        else:
            said = f"this is not HTTP/1.1: {str(fault)[:200]}; use a client of HTTP"
            self._refuse(fault.error_status_hint, "NOT_HTTP", said)

    def _unsupported_upgrade_warning(self) -> None:
        """Says nothing: uvicorn would advise the operator to install what is not wanted."""

    def _replaces_idle(self) -> bool:
        """Closes the connection that has been idle for longest; returns whether there was one.

        So those who hold connections and ask nothing do not keep others out.
        """
        others = [
            each for each in self.connections if isinstance(each, _BoundedProtocol) and each is not self
        ]
        idle = [each for each in others if each.is_idle]
        if not idle:
            return False
        min(idle, key=lambda each: each.heard).transport.close()
        return True

    def _watch_reader(self) -> None:
        self._left = self.transport.get_write_buffer_size()
        self._unread = self.loop.call_later(self.limits.read_s, self._leave_unread)

    def _leave_unread(self) -> None:
        """Ends the connection unless its caller has read on since the last time."""
        if self._left - self.transport.get_write_buffer_size() < _LEAST_READ:
            self.transport.abort()
        else:
            self._watch_reader()

    def _close_late(self) -> None:
        if not self.transport.is_closing():
            said = f"the head of the request did not arrive within {self.limits.head_s:g} s; send it faster"
            self._refuse(408, "HEAD_TOO_SLOW", said)

    def _refuse(self, status: int, reason: str, message: str) -> None:
        self._refused = True
        self._late.cancel()
        if self.cycle is not None:  # whoever reads this request's body has lost its caller
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.transport.write(whole_response(status, reason, message))
        try:
            lingers = self.transport.can_write_eof()
            if lingers:
                self.transport.write_eof()
        except OSError:  # the caller has gone, and the transport learns it later
            lingers = False
        if lingers:
            self.loop.call_later(_LINGER_S, self.transport.close)
        else:
            self.transport.close()


def whole_response(status: int, reason: str, message: str) -> bytes:
    """An answer with its head, for where there is no request that the application could answer."""
    kind = "server_error" if status >= 500 else "invalid_request_error"
    error = {"message": message, "type": kind, "param": None, "code": reason.lower(), "reason": reason}
    body = json.dumps({"error": error | {"metadata": {}}}).encode()
    head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close"
    return f"HTTP/1.1 {status} {STATUS_PHRASES[status].decode()}\r\n{head}\r\n\r\n".encode() + body
