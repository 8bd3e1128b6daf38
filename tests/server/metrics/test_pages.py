"""The server of the operators' pages: nobody who connects keeps a thread, or the pages from others."""

import contextlib
import socket
import threading
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import pytest

from parfocal.server.metrics.pages import MOST_HEAD_BYTES, PageServer

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

GET = b"GET /page?a=1%202 HTTP/1.1\r\nHost: x\r\nX-Word: said\r\n\r\n"


def page(environ: "WSGIEnvironment", start: "StartResponse") -> Iterable[bytes]:
    start("200 OK", [("Content-Type", "text/plain")])
    return [f"{environ['PATH_INFO']} {environ['QUERY_STRING']} {environ.get('HTTP_X_WORD', '')}".encode()]


@contextlib.contextmanager
def serving(most_connections: int = 8, timeout_s: float = 30.0) -> Iterator[int]:
    server = PageServer("127.0.0.1", 0, page, most_connections=most_connections, timeout_s=timeout_s)
    try:
        yield server.port
    finally:
        server.stop()


def connected(port: int, said: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=30)
    connection.sendall(said)
    return connection


def answer(connection: socket.socket) -> bytes:
    """Everything that is sent until the server closes the connection."""
    with connection, connection.makefile("rb") as file:
        return file.read()


def test_a_page_is_answered_and_the_connection_closed() -> None:
    with serving() as port:
        reply = answer(connected(port, GET))

    assert reply.startswith(b"HTTP/1.1 200 OK\r\n")
    assert reply.endswith(b"\r\n\r\n/page a=1%202 said")
    assert b"content-length: 18\r\n" in reply
    assert b"connection: close\r\n" in reply


def test_silent_connections_keep_no_thread() -> None:
    with serving(most_connections=100) as port, contextlib.ExitStack() as stack:
        before = threading.active_count()
        for said in (b"", b"GET /pa", GET[:-1]) * 20:
            stack.enter_context(connected(port, said))
        assert answer(connected(port, GET)).startswith(b"HTTP/1.1 200")
        assert threading.active_count() == before


def test_of_too_many_connections_the_first_is_closed_and_the_last_answered() -> None:
    with serving(most_connections=4) as port, contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connected(port)) for _ in range(12)]
        assert answer(connected(port, GET)).startswith(b"HTTP/1.1 200")
        with contextlib.suppress(ConnectionResetError):
            assert silent[0].recv(1) == b""


@pytest.mark.parametrize("said", [b"", b"GET /page HTTP/1.1\r\nHost: x\r\n"])
def test_a_request_that_does_not_come_in_time_is_not_waited_for(said: bytes) -> None:
    with serving(timeout_s=0.05) as port:
        assert answer(connected(port, said)) == b""


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET /page\r\n\r\n", b"400"),
        (b"\x16\x03\x01 TLS \r\n\r\n", b"400"),
        (b"GET /page HTTP/1.1\r\nX: " + b"x" * (2 * MOST_HEAD_BYTES), b"431"),
    ],
)
def test_what_is_no_request_is_refused(said: bytes, status: bytes) -> None:
    with serving() as port:
        with contextlib.suppress(ConnectionResetError):
            assert answer(connected(port, said)).split(b" ")[1] == status
        assert answer(connected(port, GET)).startswith(b"HTTP/1.1 200")


def test_a_stop_closes_what_is_open_however_soon_it_comes() -> None:
    for _ in range(100):
        with serving() as port:
            connection = connected(port)

        with contextlib.suppress(ConnectionResetError):
            assert answer(connection) == b""
