"""Calls of asyncio."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Self, TypeAlias, TypeVar

import grpc

from parfocal.client.answers import Answer, Delta, read_delta
from parfocal.client.calling.blocking import unfinished
from parfocal.client.calling.retries import NEVER, Attempts, Retries
from parfocal.client.calling.rpc import Reply, Rpc, StreamRpc, written
from parfocal.client.errors import ClientError, client_error
from parfocal.rpc import Endpoint, explained, remote_error
from parfocal.v1 import inference_service_pb2 as pb

T = TypeVar("T")
# A started call: an asynchronous iterator of replies that can be cancelled.
_Call: TypeAlias = Any


class AsyncCaller:
    """Calls rpcs over one channel, again as `retries` allow. `timeout_s` holds where a call has none."""

    def __init__(
        self, endpoint: Endpoint, channel: grpc.aio.Channel, retries: Retries, timeout_s: float | None
    ) -> None:
        self._endpoint = endpoint
        self._channel = channel
        self._retries = retries
        self._timeout_s = timeout_s

    async def ask(self, rpc: Rpc[Reply, T], timeout_s: float | None = None) -> T:
        """What the reply says; raises ClientError."""
        attempts = self._attempts(timeout_s, rpc.is_repeatable, rpc.is_probe)
        call: Any = self._channel.unary_unary(rpc.path, written, rpc.reply.FromString)
        while True:
            try:
                return rpc.read(await call(rpc.request, timeout=attempts.left_s()))
            except grpc.RpcError as error:
                await asyncio.sleep(attempts.pause_after(await self._failed(error)))

    def stream(self, rpc: StreamRpc[pb.GenerateStreamResponse], timeout_s: float | None) -> "AsyncStream":
        """A stream of an answer that has begun."""
        attempts = self._attempts(timeout_s)
        call: Any = self._channel.unary_stream(rpc.path, written, rpc.reply.FromString)
        begin = lambda: call(rpc.request, timeout=attempts.left_s())  # noqa: E731  # as short as it is
        return AsyncStream(begin, attempts, self._failed)

    async def _failed(self, error: grpc.RpcError) -> ClientError:
        """What a failed call ends with; where TLS kept it from the server, that says why."""
        return client_error(await asyncio.to_thread(explained, remote_error(error), self._endpoint))

    def _attempts(
        self, timeout_s: float | None, is_repeatable: bool = True, is_probe: bool = False
    ) -> Attempts:
        limit = self._timeout_s if timeout_s is None else timeout_s
        return Attempts(NEVER if is_probe else self._retries, limit, is_repeatable)


class AsyncStream:
    """An answer, piece by piece: iterate it, and await its `result` at any time.

    The request is under way from the beginning. It is cancelled when the stream is closed, left (as a context
    manager) or forgotten, and when the task that reads it is cancelled. Until the first piece, it is made
    again as retries allow; after that, what breaks it off is raised.
    """

    def __init__(
        self,
        begin: Callable[[], _Call],
        attempts: Attempts,
        failed: Callable[[grpc.RpcError], Awaitable[ClientError]],
    ) -> None:
        self._begin = begin
        self._attempts = attempts
        self._failed = failed
        self._has_piece = self._is_closed = False
        self._answer: Answer | None = None
        self._start()

    async def result(self) -> Answer:
        """The whole answer, after what is left of the stream; raises ClientError."""
        async for _ in self:
            pass
        if self._answer is None:
            raise unfinished(self._is_closed)
        return self._answer

    def close(self) -> None:
        """Cancels the request, if it is still under way."""
        self._is_closed = True
        self._call.cancel()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        while True:
            if self._is_closed:
                raise StopAsyncIteration
            try:
                delta = read_delta(await anext(self._replies))
            except grpc.RpcError as error:
                failed = await self._failed(error)
                if self._has_piece:
                    raise failed from error
                await asyncio.sleep(self._attempts.pause_after(failed))
                self._start()
            except asyncio.CancelledError:
                # Closed meanwhile by another task: a cancelled call raises this in whoever reads it.
                if self._is_closed and not _is_cancelled():
                    raise StopAsyncIteration from None
                raise
            else:
                self._has_piece = True
                self._answer = delta.answer or self._answer
                return delta

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Absent where there was no loop to begin in; without one that runs, the call is gone already.
        if hasattr(self, "_call") and not self._call.done():
            self.close()

    def _start(self) -> None:
        self._call = self._begin()
        self._replies: AsyncIterator[pb.GenerateStreamResponse] = aiter(self._call)


def _is_cancelled() -> bool:
    """Whether the task that runs was itself cancelled."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
