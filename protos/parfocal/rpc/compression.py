"""Replies that callers want compressed: those that are worth it are. Knows no service."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from typing import Any

import grpc

from parfocal.rpc.surround import AskedFor, Context, RpcMethod, behaviour_of, surround

# Metadata of an rpc whose replies are to be compressed: for large ones, over a slow network. gRPC shows no
# server what its caller would like.
_HEADER, _GZIP = "accept-encoding", "gzip"
COMPRESSED_REPLIES = ((_HEADER, _GZIP),)

# A smaller message costs more time than it saves bytes; a stream of tokens would become slower.
_WORTH_BYTES = 1024

_context: ContextVar[Context] = ContextVar("parfocal-compressed-rpc")


def compression() -> AskedFor:
    """Compresses the replies of rpcs whose metadata ask for it.

    Must be the outermost: it sees every reply as it is sent, also one that was written before.
    """
    return AskedFor(_HEADER, _compressing)


def _compressing(rpc: RpcMethod, method: str, asked: str) -> RpcMethod:
    return _sparing(surround(rpc, method, _compressed)) if _GZIP in asked else rpc


@contextlib.asynccontextmanager
async def _compressed(method: str, context: Context) -> AsyncIterator[None]:
    _context.set(context)
    context.set_compression(grpc.Compression.Gzip)
    with contextlib.suppress(grpc.aio.BaseError):  # the caller is gone, as the rpc will find out
        await context.send_initial_metadata(())  # sent with the reply, it would leave compression out
    yield


def _sparing(rpc: RpcMethod) -> RpcMethod:
    """The rpc with small replies left as they are."""
    serialise: Callable[[Any], bytes] = rpc.response_serializer or bytes

    def spared(message: Any) -> bytes:
        data = serialise(message)
        if len(data) < _WORTH_BYTES:
            _context.get().disable_next_message_compression()
        return data

    make = (
        grpc.stream_stream_rpc_method_handler
        if rpc.response_streaming
        else grpc.stream_unary_rpc_method_handler
    )
    return make(behaviour_of(rpc), None, spared)
