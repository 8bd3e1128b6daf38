"""What a hostile client does: cheap for itself, and, if all is well, for us.

Every attack counts what became of it in `Tally`; none minds being refused.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

import grpc

from bench.hostile.bodies import Body, many_modules, nested_patterns, small, widest_header
from parfocal.v1 import registry_service_pb2 as pb

REGISTRY, INFERENCE = "/parfocal.v1.RegistryService/", "/parfocal.v1.InferenceService/"
UPLOADS = 2000
UPLOADS_A_SECOND = 40
SILENT_CALLS = 100
HALF_OPEN = 100
SILENT_PAGES = 200
# A manifest of some megabytes; the names go round, so that the registry does not grow for ever.
MODULES = 20_000
# So begins the end of an attack that the client itself broke off.
BROKE_OFF = "the client itself"
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


@dataclass
class Tally:
    """How often each attack ended in which way."""

    ends: Counter[str] = field(default_factory=Counter)

    async def of(self, attack: str, call: Awaitable[object]) -> None:
        """Awaits a call and counts its end."""
        try:
            await call
        except grpc.aio.AioRpcError as error:
            self.ends[f"{attack}: {error.code().name}{_told(error)}"] += 1
        except OSError:
            self.ends[f"{attack}: closed"] += 1
        else:
            self.ends[f"{attack}: OK"] += 1


@dataclass(frozen=True, slots=True)
class Target:
    """The server that is attacked."""

    channel: grpc.aio.Channel
    host: str
    port: int
    metrics_port: int

    def publish(self, messages: Iterable[bytes]) -> "grpc.aio.StreamUnaryCall[bytes, bytes]":
        return self.channel.stream_unary(f"{REGISTRY}PublishVersion", None, None)(iter(messages))


async def open_uploads(target: Target, tally: Tally) -> None:
    """Opens uploads that stay open: each sends its header, then one byte a second for as long as it may."""
    body = small("hostile/open")
    byte = pb.PublishVersionRequest(
        chunk=pb.FileChunk(path="adapter_config.json", data=b"{")
    ).SerializeToString()
    async with asyncio.TaskGroup() as uploads:
        for _ in range(UPLOADS):
            uploads.create_task(tally.of("upload", _trickle(target, body.header, byte)))
            await asyncio.sleep(1 / UPLOADS_A_SECOND)


async def _trickle(target: Target, header: bytes, byte: bytes) -> None:
    call = target.channel.stream_unary(f"{REGISTRY}PublishVersion", None, None)()  # type: ignore[call-arg]
    with contextlib.suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
        await call.write(header)
        while not call.done():
            await asyncio.sleep(1)
            await call.write(byte)
    await call


async def large_manifests(target: Target, tally: Tally) -> None:
    """Publishes the largest manifests under four names, and asks for them again and again."""
    turn = 0
    while True:
        turn += 1
        name = f"hostile/large-{turn % 4}"
        body = await asyncio.to_thread(many_modules, name, turn % 8 + 1, MODULES)
        await tally.of("large manifest", target.publish(body.messages()))
        for _ in range(10):
            resolve = pb.ResolveAdapterRequest(reference=name).SerializeToString()
            await tally.of("resolve large", _asked(target, "ResolveAdapter", resolve))
            versions = pb.ListVersionsRequest(name=name, page_size=1000).SerializeToString()
            await tally.of("list large", _asked(target, "ListVersions", versions))
            await asyncio.sleep(1)


async def patterns(target: Target, tally: Tally) -> None:
    """Publishes nested patterns."""
    body = nested_patterns("hostile/patterns")
    while True:
        await tally.of("nested patterns", target.publish(body.messages()))
        await asyncio.sleep(1)


async def refused_headers(target: Target, tally: Tally) -> None:
    """Sends the widest headers, which are refused once they are read."""
    header = widest_header("hostile/header")
    while True:
        await tally.of("widest header", target.publish([header]))
        await asyncio.sleep(2)


async def silent_calls(target: Target, tally: Tally) -> None:
    """Opens rpcs that take one message and sends none."""

    async def silent() -> None:
        await target.channel.stream_unary(f"{INFERENCE}Generate", None, None)()  # type: ignore[call-arg]

    await _kept_open(SILENT_CALLS, lambda: tally.of("call without message", silent()))


async def half_open(target: Target, tally: Tally) -> None:
    """Opens connections to the gRPC port that say nothing, or only that they speak HTTP/2."""
    said = iter((b"", _PREFACE) * (HALF_OPEN * 1000))
    await _kept_open(
        HALF_OPEN, lambda: tally.of("half-open connection", _held(target.host, target.port, next(said)))
    )


async def silent_pages(target: Target, tally: Tally) -> None:
    """Opens connections to the metrics page that say nothing, or half a request."""
    said = iter((b"", b"GET /metrics HTTP/1.1\r\nHost:") * (SILENT_PAGES * 1000))
    await _kept_open(
        SILENT_PAGES,
        lambda: tally.of("silent page", _held(target.host, target.metrics_port, next(said))),
    )


ATTACKS = (
    open_uploads,
    large_manifests,
    patterns,
    refused_headers,
    silent_calls,
    half_open,
    silent_pages,
)


def _told(error: grpc.aio.AioRpcError) -> str:
    """What INTERNAL is about: gRPC's client makes one itself where a refusal overtakes what it sends."""
    return f" ({(error.details() or '')[:60]})" if error.code() is grpc.StatusCode.INTERNAL else ""


async def _kept_open(count: int, attack: Callable[[], Awaitable[None]]) -> None:
    """Keeps `count` of them open; one that ended is begun again after a second."""

    async def again() -> None:
        while True:
            await attack()
            await asyncio.sleep(1)

    async with asyncio.TaskGroup() as kept:
        for _ in range(count):
            kept.create_task(again())
            await asyncio.sleep(0.01)


async def _held(host: str, port: int, said: bytes) -> None:
    """Says so much and waits until the other side closes the connection."""
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(said)
        while await reader.read(1 << 16):
            pass
    finally:
        writer.close()


async def _asked(target: Target, rpc: str, message: bytes) -> None:
    await target.channel.unary_unary(f"{REGISTRY}{rpc}", None, None)(message)


def honest(names: Iterable[str]) -> list[Body]:
    """Adapters that somebody else has published before."""
    return [small(name) for name in names]
