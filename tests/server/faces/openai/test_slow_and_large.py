"""Callers who send too much or too slowly get a status and a message, and the next request works."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from fakes.rest import Rest, rest_serving
from parfocal.server.faces.http import ConnectionLimits
from parfocal.v1.limits import REQUEST_BYTES

CHUNK = 64 << 10
HEAD = "POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

Send = Callable[[bytes], Awaitable[None]]
Talk = Callable[[asyncio.StreamReader, Send], Awaitable[bytes]]


@asynccontextmanager
async def connected(rest: Rest) -> AsyncIterator[tuple[asyncio.StreamReader, Send]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", rest.port)

    async def send(data: bytes) -> None:
        writer.write(data)
        await writer.drain()

    try:
        yield reader, send
    finally:
        writer.close()


def answered(talk: Talk, wait_s: float = 30.0) -> tuple[int, Any]:
    """Status and error of what was said on one connection; on another one, the server still answers."""

    async def scenario() -> tuple[bytes, int]:
        async with rest_serving(limits=ConnectionLimits(wait_s)) as rest:
            async with asyncio.timeout(30), connected(rest) as (reader, send):
                said = await talk(reader, send)
            following = await rest.post("/v1/completions", {"model": "tiny", "prompt": "x"})
            return said, following.status

    said, following = asyncio.run(scenario())
    assert following == 200
    head, _, body = said.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["error"]


def test_a_body_without_an_end_is_refused_at_the_limit() -> None:
    """Of a hundred megabytes only little more than the limit is ever read."""
    sent = 0

    async def talk(reader: asyncio.StreamReader, send: Send) -> bytes:
        nonlocal sent
        await send(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n".encode())
        answer = asyncio.ensure_future(reader.read(1 << 16))
        try:
            while sent < 100 << 20 and not answer.done():
                await send(f"{CHUNK:x}\r\n".encode() + b" " * CHUNK + b"\r\n")
                sent += CHUNK
                await asyncio.sleep(0)
        except ConnectionError:
            pass  # the server has closed it, having answered
        return await answer

    status, error = answered(talk)

    assert (status, error["reason"]) == (413, "BODY_TOO_LARGE")
    assert str(REQUEST_BYTES.most) in error["message"]
    assert sent < 50 << 20


def test_a_body_that_comes_byte_by_byte_is_given_up() -> None:
    async def talk(reader: asyncio.StreamReader, send: Send) -> bytes:
        await send(f"{HEAD}Content-Length: 1000\r\n\r\n".encode())
        answer = asyncio.ensure_future(reader.read(1 << 16))
        while not answer.done():
            await send(b" ")
            await asyncio.sleep(0.02)
        return await answer

    status, error = answered(talk, wait_s=0.3)

    assert (status, error["reason"]) == (408, "BODY_TOO_SLOW")


def test_a_head_that_comes_byte_by_byte_is_given_up() -> None:
    async def talk(reader: asyncio.StreamReader, send: Send) -> bytes:
        answer = asyncio.ensure_future(reader.read(1 << 16))
        for byte in HEAD:
            if answer.done():
                break
            await send(byte.encode())
            await asyncio.sleep(0.02)
        return await answer

    status, error = answered(talk, wait_s=0.3)

    assert (status, error["reason"]) == (408, "HEAD_TOO_SLOW")


def test_a_connection_that_waits_after_its_answer_is_not_late() -> None:
    async def talk(reader: asyncio.StreamReader, send: Send) -> bytes:
        await send(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 " in await reader.read(1 << 16)
        await asyncio.sleep(0.5)
        await send(b"GET /v1/nothing HTTP/1.1\r\nHost: x\r\n\r\n")
        return await reader.read(1 << 16)

    status, error = answered(talk, wait_s=0.2)

    assert (status, error["reason"]) == (404, "ROUTE_UNKNOWN")
