"""Calls that block."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Self, TypeAlias, TypeVar

import grpc
from google.protobuf.message import Message

from parfocal.client.answers import Answer, Delta, read_delta
from parfocal.client.calling.retries import NEVER, Attempts, Retries
from parfocal.client.calling.rpc import Reply, Rpc, StreamRpc, written
from parfocal.client.errors import Cancelled, ClientError, ServerFailed, client_error
from parfocal.rpc import Endpoint, explained, remote_error
from parfocal.v1 import inference_service_pb2 as pb

T = TypeVar("T")
# A started call: an iterator of replies that can be cancelled. The stubs of grpc name no such type.
_Call: TypeAlias = Any


class Caller:
    """Calls rpcs over one channel, again as `retries` allow. `timeout_s` holds where a call has none."""

    def __init__(
        self, endpoint: Endpoint, channel: grpc.Channel, retries: Retries, timeout_s: float | None
    ) -> None:
        self._endpoint = endpoint
        self._channel = channel
        self._retries = retries
        self._timeout_s = timeout_s

    def ask(self, rpc: Rpc[Reply, T], timeout_s: float | None = None) -> T:
        """What the reply says; raises ClientError."""
        attempts = self._attempts(timeout_s, rpc.is_repeatable, rpc.is_probe)
        call = self._channel.unary_unary(rpc.path, written, rpc.reply.FromString)
        while True:
            try:
                return rpc.read(call(rpc.request, timeout=attempts.left_s()))
            except grpc.RpcError as error:
                time.sleep(attempts.pause_after(self.failed(error)))

    def send(
        self,
        path: str,
        parts: Callable[[], Iterator[Message]],
        reply: type[Reply],
        timeout_s: float | None,
    ) -> Reply:
        """The reply to a stream of messages, which `parts` begins anew for each attempt.

        Raises ClientError, and what `parts` raises. No other timeout than `timeout_s` holds.
        """
        attempts = Attempts(self._retries, timeout_s)
        call: Callable[..., Reply] = self._channel.stream_unary(path, written, reply.FromString)
        while True:
            sent = _Remembering(parts())
            try:
                return call(sent, timeout=attempts.left_s())
            except grpc.RpcError as error:
                if sent.error is not None:
                    raise sent.error from None
                time.sleep(attempts.pause_after(self.failed(error)))

    def replies(self, rpc: StreamRpc[Reply], timeout_s: float | None = None) -> _Call:
        """A call under way, which raises grpc.RpcError and can be cancelled; without retries."""
        return self._channel.unary_stream(rpc.path, written, rpc.reply.FromString)(
            rpc.request, timeout=timeout_s
        )

    def stream(self, rpc: StreamRpc[pb.GenerateStreamResponse], timeout_s: float | None) -> "Stream":
        """A stream of an answer that has begun."""
        attempts = self._attempts(timeout_s)
        return Stream(lambda: self.replies(rpc, attempts.left_s()), attempts, self.failed)

    def failed(self, error: grpc.RpcError) -> ClientError:
        """What a failed call ends with; where TLS kept it from the server, that says why."""
        return client_error(explained(remote_error(error), self._endpoint))

    def _attempts(
        self, timeout_s: float | None, is_repeatable: bool = True, is_probe: bool = False
    ) -> Attempts:
        limit = self._timeout_s if timeout_s is None else timeout_s
        return Attempts(NEVER if is_probe else self._retries, limit, is_repeatable)


class Stream:
    """An answer, piece by piece: iterate it, and ask for its `result` at any time.

    The request is under way from the beginning. It is cancelled when the stream is closed, left (as a context
    manager) or forgotten. Until the first piece, it is made again as retries allow; after that, what breaks
    it off is raised.
    """

    def __init__(
        self,
        begin: Callable[[], _Call],
        attempts: Attempts,
        failed: Callable[[grpc.RpcError], ClientError],
    ) -> None:
        self._begin = begin
        self._attempts = attempts
        self._failed = failed
        self._has_piece = self._is_closed = False
        self._answer: Answer | None = None
        self._call = begin()

    def result(self) -> Answer:
        """The whole answer, after what is left of the stream; raises ClientError."""
        for _ in self:
            pass
        if self._answer is None:
            raise unfinished(self._is_closed)
        return self._answer

    def close(self) -> None:
        """Cancels the request, if it is still under way."""
        self._is_closed = True
        self._call.cancel()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Delta:
        while True:
            try:
                delta = read_delta(next(self._call))
            except grpc.RpcError as error:
                if self._is_closed:
                    raise StopIteration from None
                failed = self._failed(error)
                if self._has_piece:
                    raise failed from error
                time.sleep(self._attempts.pause_after(failed))
                self._call = self._begin()
            else:
                self._has_piece = True
                self._answer = delta.answer or self._answer
                return delta

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __del__(self) -> None:
        # Absent where the channel was closed before the call began.
        if hasattr(self, "_call"):
            self.close()


def unfinished(is_closed: bool) -> Cancelled | ServerFailed:
    """The error for a stream that has ended without a result."""
    if is_closed:
        return Cancelled("the stream was closed before its end, so there is no whole answer")
    return ServerFailed("the server ended the stream without a result; ask again")


class _Remembering:
    """An iterator that keeps what a disk ended it with: gRPC only tells that there was something."""

    def __init__(self, parts: Iterator[Message]) -> None:
        self._parts = parts
        self.error: OSError | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        try:
            return next(self._parts)
        except StopIteration:
            raise
        except OSError as error:
            self.error = error
            raise
