"""How HTTP/1 is read on a connection: as h11 does, within limits that it does not have. Knows no socket."""

from typing import TypeAlias

import h11

from parfocal.v1.limits import BODY_CHUNKS, HEAD_BYTES

_Next: TypeAlias = h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]
_ENDS_OF_HEAD = (b"\n\r\n", b"\n\n")
_VERSIONS = (b"1.0", b"1.1")


class FramingRefused(h11.RemoteProtocolError):
    """It may be HTTP, but there is too much of it; `reason` is what callers get as a code."""

    def __init__(self, message: str, status: int, reason: str) -> None:
        super().__init__(message, error_status_hint=status)
        self.reason = reason


class BoundedConnection(h11.Connection):
    """Refuses a long head before it is parsed, and a body in too many chunks; `fault` is what it refused.

    h11 parses whatever has arrived at once, and asyncio reads 256 KiB at once: that many headers of four
    bytes, or chunks of one, would hold everybody up for half a second.
    """

    def __init__(self) -> None:
        super().__init__(h11.SERVER, HEAD_BYTES.most)
        self.fault: h11.RemoteProtocolError | None = None
        self._chunks = 0

    def next_event(self) -> _Next:
        """What comes next; raises RemoteProtocolError."""
        try:
            self._check_head()
            event = super().next_event()
            _check_version(event)
            self._count(event)
        except h11.RemoteProtocolError as fault:
            self.fault = fault
            raise
        return event

    def _check_head(self) -> None:
        if self.their_state is not h11.IDLE:
            return
        arrived, _ = self.trailing_data
        most = HEAD_BYTES.most
        if len(arrived) > most and all(arrived.find(end, 0, most) < 0 for end in _ENDS_OF_HEAD):
            raise FramingRefused(
                f"the head of the request has more than {most} bytes; send fewer or shorter headers",
                431,
                "HEAD_TOO_LARGE",
            )

    def _count(self, event: _Next) -> None:
        if isinstance(event, h11.Request):
            self._chunks = 0
        if not isinstance(event, h11.Data) or not event.chunk_start:
            return
        self._chunks += 1
        if self._chunks > BODY_CHUNKS.most:
            raise FramingRefused(
                f"the body comes in more than {BODY_CHUNKS.most} chunks; send larger ones",
                413,
                "TOO_MANY_CHUNKS",
            )


def _check_version(event: _Next) -> None:
    """h11 parses every number; HTTP/2 begins with a request of its own, which asks for nothing."""
    if isinstance(event, h11.Request) and event.http_version not in _VERSIONS:
        version = event.http_version.decode("ascii")
        raise FramingRefused(f"HTTP/{version} is not spoken here; use HTTP/1.1", 505, "HTTP_VERSION")
