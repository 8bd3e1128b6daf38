"""Requests over HTTP as bytes, of exactly so much; and how a connection reads them, without a socket."""

import h11

from parfocal.server.faces.http.framing import BoundedConnection

LINE = b"POST /v1/completions HTTP/1.1\r\nHost: x\r\n"
CHUNKED = LINE + b"Transfer-Encoding: chunked\r\n\r\n"


def head_of(size: int) -> bytes:
    """The head of a request for nothing, in so many bytes."""
    begin = b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\nA: "
    return begin + b"a" * (size - len(begin) - 4) + b"\r\n\r\n"


def in_chunks(count: int) -> bytes:
    """A request whose body goes on after so many chunks of one byte."""
    return CHUNKED + b"1\r\nx\r\n" * count


def fault_of(data: bytes) -> str:
    """Why a connection refuses what arrives; empty if it does not."""
    connection = BoundedConnection()
    connection.receive_data(data)
    try:
        while connection.next_event() not in (h11.NEED_DATA, h11.PAUSED):
            pass
    except h11.RemoteProtocolError as error:
        return str(error)
    return ""
