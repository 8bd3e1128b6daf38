"""Puts a scope around an rpc of any of the four kinds. Knows neither errors' statuses nor who is draining."""

import contextlib
import inspect
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
from google.protobuf.message import DecodeError

from parfocal.rpc.errors import MessageUnreadable, MethodNotImplemented

# Messages of any type pass here. Quoted, because only the type checker's view of grpc has type parameters.
RpcMethod: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Continuation: TypeAlias = Callable[[grpc.HandlerCallDetails], Awaitable[RpcMethod]]
Scope: TypeAlias = Callable[[str, Context], contextlib.AbstractAsyncContextManager[None]]
_Read: TypeAlias = Callable[[Any], Any]

_FACTORIES: dict[str, Callable[..., RpcMethod]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


def surround(rpc: RpcMethod, method: str, scope: Scope) -> RpcMethod:
    """Returns the rpc with `scope(method, context)` entered before it and left after its last message.

    Its messages are read inside the scope: bytes that are none raise MessageUnreadable there. An rpc that is
    not implemented raises MethodNotImplemented.
    """
    kind = (
        f"{'stream' if rpc.request_streaming else 'unary'}_{'stream' if rpc.response_streaming else 'unary'}"
    )
    behaviour = getattr(rpc, kind)
    read = _reader(rpc, method)
    if inspect.isasyncgenfunction(behaviour):
        surrounded: Callable[..., Any] = _around_generator(behaviour, read, method, scope)
    elif is_written(behaviour):
        surrounded = _around_coroutine(behaviour, read, method, scope)
    else:
        surrounded = _around_coroutine(_placeholder(method), read, method, scope)
    return _FACTORIES[kind](surrounded, None, rpc.response_serializer)


def is_written(behaviour: object) -> bool:
    """Whether this rpc is implemented.

    Ours are coroutines and asynchronous generators. A plain function is the placeholder of a generated
    servicer.
    """
    return inspect.iscoroutinefunction(behaviour) or inspect.isasyncgenfunction(behaviour)


def _around_coroutine(
    behaviour: Callable[[Any, Context], Awaitable[object]], read: _Read, method: str, scope: Scope
) -> Callable[[Any, Context], Awaitable[object]]:
    async def surrounded(request: object, context: Context) -> object:
        async with scope(method, context):
            return await behaviour(read(request), context)

    return surrounded


def _around_generator(
    behaviour: Callable[[Any, Context], AsyncGenerator[object, None]], read: _Read, method: str, scope: Scope
) -> Callable[[Any, Context], AsyncGenerator[object, None]]:
    async def surrounded(request: object, context: Context) -> AsyncGenerator[object, None]:
        # Closed immediately when the caller goes away, not whenever it is garbage-collected.
        async with (
            scope(method, context),
            contextlib.aclosing(behaviour(read(request), context)) as replies,
        ):
            async for reply in replies:
                yield reply

    return surrounded


def _reader(rpc: RpcMethod, method: str) -> _Read:
    """Returns what turns the bytes of a request, or of each request of a stream, into messages."""
    parse = rpc.request_deserializer
    if parse is None:
        return lambda request: request

    def message(received: bytes) -> object:
        try:
            return parse(received)
        except (DecodeError, ValueError) as error:
            raise _unreadable(received, method) from error

    async def messages(received: AsyncIterable[bytes]) -> AsyncIterator[object]:
        async for each in received:
            yield message(each)

    return messages if rpc.request_streaming else message


def _unreadable(received: bytes, method: str) -> MessageUnreadable:
    looks = ", it looks like JSON" if received.lstrip()[:1] in (b"{", b"[") else ""
    return MessageUnreadable(
        f"the {len(received)} bytes sent to {method} are not a protobuf message of its type{looks}; "
        "send what a client generated from the .proto files encodes",
        method=method,
    )


def _placeholder(method: str) -> Callable[[Any, Context], Awaitable[object]]:
    async def refuse(request: object, context: Context) -> object:
        raise MethodNotImplemented(f"{method} is not implemented by this server", method=method)

    return refuse
