"""What does not speak HTTP, or too much of it, is told so in OpenAI's shape; the next caller is served."""

import asyncio
import errno
import json
import logging
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from fakes.pki import Authority
from fakes.rest import Rest, rest_serving
from fakes.served_aside import aside
from fakes.watched_loop import WatchedLoop, no_collections
from fakes.wire.http_bytes import CHUNKED, LINE, head_of, in_chunks
from parfocal.rpc import Guard, TlsFiles
from parfocal.server.faces.http import ConnectionLimits
from parfocal.server.faces.http.protocol import protocol_within
from parfocal.v1.limits import BODY_CHUNKS, HEAD_BYTES


def sent(rest: Rest, data: bytes) -> tuple[int, Any]:
    """Blocks; status and error of the last response to what was sent on one connection."""
    with socket.create_connection(("127.0.0.1", rest.port), 30) as connection:
        connection.sendall(data)
        said = b""
        while piece := connection.recv(1 << 16):
            said += piece
    head, _, body = said[said.rindex(b"HTTP/1.1 ") :].partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def ended(data: bytes) -> tuple[int, Any]:
    """The same, of a server that then serves the next caller."""

    async def scenario() -> tuple[int, Any]:
        async with rest_serving() as rest:
            refused = await asyncio.to_thread(sent, rest, data)
            assert (await rest.post("/v1/completions", {"model": "", "prompt": "x"})).status == 200
            return refused

    return asyncio.run(scenario())


NOT_HTTP: dict[str, bytes] = {
    "words": b"hello there\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "a NUL in a value": LINE + b"A: a\x00b\r\n\r\n",
    "a NUL in a name": LINE + b"A\x00: b\r\n\r\n",
    "a space before a colon": LINE + b"Content-Length : 2\r\n\r\n{}",
    "two lengths": LINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length that is none": LINE + b"Content-Length: +2\r\n\r\n{}",
    "another coding": LINE + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
    "two codings": LINE + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n",
    "two hosts": LINE + b"Host: y\r\nContent-Length: 2\r\n\r\n{}",
    "no host": b"GET /healthz HTTP/1.1\r\n\r\n",
    "a size that is none": CHUNKED + b"zz\r\nx\r\n",
}


@pytest.mark.parametrize("case", NOT_HTTP)
def test_what_is_no_http_is_told_why(case: str) -> None:
    status, error = ended(NOT_HTTP[case])

    assert status in (400, 501)
    assert (error["type"][-6:], error["reason"]) == ("_error", "NOT_HTTP")
    assert "this is not HTTP/1.1: " in error["message"]


@pytest.mark.parametrize("version", ["0.9", "1.2", "2.0", "9.9"])
def test_another_version_of_http_is_refused_whatever_it_asks_for(version: str) -> None:
    status, error = ended(f"GET /healthz HTTP/{version}\r\nHost: x\r\n\r\nSM\r\n\r\n".encode())

    assert (status, error["reason"]) == (505, "HTTP_VERSION")
    assert error["message"] == f"HTTP/{version} is not spoken here; use HTTP/1.1"


@pytest.mark.parametrize("before", [b"", b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_a_long_head_is_refused_also_if_it_comes_at_once_and_after_another(before: bytes) -> None:
    for size, status in ((HEAD_BYTES.most, 404), (HEAD_BYTES.most + 1, 431), (240 << 10, 431)):
        assert ended(before + head_of(size))[0] == status


def test_a_body_in_very_many_chunks_is_refused() -> None:
    status, error = ended(in_chunks(BODY_CHUNKS.most + 1))

    assert (status, error["reason"]) == (413, "TOO_MANY_CHUNKS")
    assert str(BODY_CHUNKS.most) in error["message"]


def test_a_body_in_as_many_chunks_as_may_be_is_read() -> None:
    status, error = ended(in_chunks(BODY_CHUNKS.most) + b"0\r\n\r\n" + head_of(100))

    assert status == 404, error  # of the request behind it


@pytest.mark.parametrize(
    "data",
    [
        in_chunks(40_000),
        LINE + b"a:\r\n" * 60_000 + b"\r\n",
        LINE + b"a: b\r\n c\r\n" * 20_000 + b"\r\n",
        LINE + b"a:\r\n" * (HEAD_BYTES.most // 4 - 20) + b"Connection: close\r\n\r\n",
    ],
    ids=["chunks", "headers", "folded headers", "as many headers as may be"],
)
def test_nothing_that_arrives_at_once_holds_the_event_loop(data: bytes) -> None:
    loop = WatchedLoop()
    with aside(rest_serving(), loop) as rest, no_collections():
        loop.holds.clear()
        assert sent(rest, data)[0] in (400, 413, 431)

    assert loop.holds == []


def test_what_follows_a_refused_request_is_no_fault_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with rest_serving() as rest:
            reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
            writer.write(CHUNKED.replace(b"Host", b"Content-Type: text/plain\r\nHost"))
            await reader.readuntil(b"}}}")
            writer.write(b"zz\r\nno chunk\r\n")
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()

    with caplog.at_level(logging.ERROR):
        asyncio.run(scenario())

    assert caplog.records == []


class Left(asyncio.Transport):
    """To a caller who has gone, which only the socket knows yet."""

    closed = False

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Has no buffer."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Takes what nobody reads."""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True


def test_a_caller_who_goes_while_being_refused_is_no_fault_of_the_server() -> None:
    async def scenario() -> bool:
        transport = Left()
        protocol = protocol_within(ConnectionLimits())(Config(never_asked), ServerState(), {})
        protocol.connection_made(transport)
        protocol.data_received(b"hello there\r\n\r\n")
        return transport.closed

    assert asyncio.run(scenario())


async def never_asked(scope: object, receive: object, send: object) -> None:
    """An application."""


async def connect(rest: Rest) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection on which one request has been answered."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
    writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    await reader.readuntil(b"alive\n")
    return reader, writer


def test_one_connection_too_many_takes_the_place_of_the_one_that_is_idle_longest() -> None:
    async def scenario() -> list[bool]:
        async with rest_serving(limits=ConnectionLimits(connections=2)) as rest:
            held = [await connect(rest) for _ in range(3)]
            assert await asyncio.wait_for(held[0][0].read(), 10) == b""
            for _, writer in held[1:]:
                writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            answers = [await asyncio.wait_for(reader.readuntil(b"alive\n"), 10) for reader, _ in held[1:]]
            for _, writer in held:
                writer.close()
            return [b" 200 " in each for each in answers]

    assert asyncio.run(scenario()) == [True, True]


def test_where_all_are_busy_one_caller_too_many_is_told_so() -> None:
    async def scenario() -> tuple[bytes, list[int]]:
        async with rest_serving(limits=ConnectionLimits(connections=2)) as rest:
            rest.engine.gate.clear()
            body = {"model": "", "prompt": "x"}
            running = [asyncio.ensure_future(rest.post("/v1/completions", body)) for _ in range(2)]
            while len(rest.engine.submitted) < 2:
                await asyncio.sleep(0.01)
            reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
            told = await asyncio.wait_for(reader.read(), 10)
            writer.close()
            rest.engine.gate.set()
            return told, [(await each).status for each in running]

    told, answered = asyncio.run(scenario())

    assert told.startswith(b"HTTP/1.1 503 ") and b"TOO_MANY_CONNECTIONS" in told
    assert answered == [200, 200]


Ask = Callable[[asyncio.StreamWriter], None]


def asks(**fields: object) -> Ask:
    body = json.dumps({"model": "tiny", "prompt": "x", "max_tokens": 3000, **fields}).encode()

    def write(writer: asyncio.StreamWriter) -> None:
        writer.write(LINE + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)

    return write


async def reads_nothing(rest: Rest, ask: Ask) -> None:
    """Returns once a request has ended whose caller then reads nothing."""
    connection = socket.create_connection(("127.0.0.1", rest.port))
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with connection:
        connection.setblocking(False)
        _, writer = await asyncio.open_connection(sock=connection.dup(), limit=1)
        writer.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket it can
        ask(writer)
        while not rest.engine.submitted:
            await asyncio.sleep(0.01)
        while rest.wire.under_way:
            await asyncio.sleep(0.01)
        writer.transport.abort()


@pytest.mark.parametrize("streamed", [False, True])
def test_who_asks_and_reads_nothing_is_left(streamed: bool) -> None:
    async def scenario() -> int:
        async with rest_serving(limits=ConnectionLimits(30, 0.5), context_tokens=1 << 21) as rest:
            rest.engine.words = ("word" * 1000,) * 3000
            await asyncio.wait_for(reads_nothing(rest, asks(stream=streamed)), 30)
            rest.engine.words = ("word",)
            return (await rest.post("/v1/completions", {"model": "", "prompt": "x"})).status

    assert asyncio.run(scenario()) == 200


def test_who_reads_slowly_gets_it_all() -> None:
    """Each time a little more than must be read, over as many waits as would have ended it otherwise."""

    async def scenario() -> int:
        async with rest_serving(limits=ConnectionLimits(30, 0.5), context_tokens=1 << 21) as rest:
            rest.engine.words = ("word" * 1000,) * 3000
            reader, writer = await asyncio.open_connection("127.0.0.1", rest.port, limit=1 << 12)
            asks()(writer)
            head = await reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().split(b"content-length: ")[1].split()[0])
            left = length
            while left:
                left -= len(await reader.readexactly(min(left, 400 << 10)))
                await asyncio.sleep(0.05)
            writer.close()
            return length

    assert asyncio.run(scenario()) > 12_000_000


def test_who_connects_over_tls_and_says_nothing_is_left(tmp_path: Path) -> None:
    pair = Authority(tmp_path).issue("served")

    async def scenario() -> bytes:
        guard = Guard(tls=TlsFiles(pair.cert, pair.key))
        async with rest_serving(guard=guard, limits=ConnectionLimits(0.2)) as rest:
            reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)
            try:
                return await asyncio.wait_for(reader.read(), 20)
            except ConnectionResetError:
                return b""
            finally:
                writer.close()

    assert asyncio.run(scenario()) == b""
