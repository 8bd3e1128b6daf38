"""The demo's requests over gRPC, many at once. Knows the wire; nothing of training."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import grpc

from parfocal.rpc import open_channel, remote_error
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1 import inference_service_pb2_grpc as pb_grpc
from parfocal.v1 import registry_service_pb2 as registry_pb
from parfocal.v1 import registry_service_pb2_grpc as registry_pb_grpc

MAX_TOKENS = 220


@dataclass(frozen=True, slots=True)
class Ask:
    """A message to an adapter; the empty reference is the base."""

    adapter: str
    message: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, and which version answered."""

    ask: Ask
    text: str
    version: int
    tokens: int


@asynccontextmanager
async def server(address: str) -> AsyncIterator["Server"]:
    """Yields a connection to a server; failures become RemoteError."""
    async with open_channel(address) as channel:
        try:
            yield Server(channel)
        except grpc.RpcError as error:
            raise remote_error(error) from error


class Server:
    """The public API, as the demo uses it."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._inference: pb_grpc.InferenceServiceAsyncStub = pb_grpc.InferenceServiceStub(channel)
        self._registry: registry_pb_grpc.RegistryServiceAsyncStub = registry_pb_grpc.RegistryServiceStub(
            channel
        )

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """Sends all requests at once and returns the answers in order."""
        replies = await asyncio.gather(*(self._inference.Generate(_request(ask)) for ask in asks))
        return [_answer(ask, reply) for ask, reply in zip(asks, replies, strict=True)]

    async def point(self, name: str, alias: str, version: int, expected: int) -> None:
        """Moves an alias, if it still points where it is expected to (0: nowhere)."""
        request = registry_pb.SetAliasRequest(
            name=name, alias=alias, version=version, expected_version=expected, actor="demo"
        )
        await self._registry.SetAlias(request)

    async def ask_around(
        self, before: Sequence[Ask], move: Callable[[], Awaitable[None]], after: Sequence[Ask]
    ) -> tuple[list[Answer], list[Answer]]:
        """Starts `before`, moves an alias once all of them are streaming, then sends `after`."""
        begun = asyncio.Barrier(len(before) + 1)
        running = [asyncio.create_task(self._stream(ask, begun)) for ask in before]
        await begun.wait()
        await move()
        late = await self.ask(after)
        return list(await asyncio.gather(*running)), late

    async def _stream(self, ask: Ask, begun: asyncio.Barrier) -> Answer:
        call = self._inference.GenerateStream(_request(ask))
        messages = aiter(call)
        last = await anext(messages)
        await begun.wait()
        async for message in messages:
            last = message
        return _answer(ask, last.final)


def _request(ask: Ask) -> pb.GenerateRequest:
    return pb.GenerateRequest(
        adapter=ask.adapter,
        chat=pb.Chat(messages=[pb.Message(role="user", content=ask.message)]),
        stop=pb.Stop(max_tokens=MAX_TOKENS),
    )


def _answer(ask: Ask, reply: pb.GenerateResponse) -> Answer:
    return Answer(ask, reply.text, reply.adapter.version, reply.usage.completion_tokens)
