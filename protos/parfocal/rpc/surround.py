"""Puts a scope around an rpc of any of the four kinds. Knows neither errors' statuses nor who is draining."""

import contextlib
import inspect
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc

from parfocal.rpc.errors import MethodNotImplemented

# Messages of any type pass here. Quoted, because only the type checker's view of grpc has type parameters.
RpcMethod: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Continuation: TypeAlias = Callable[[grpc.HandlerCallDetails], Awaitable[RpcMethod]]
Scope: TypeAlias = Callable[[str, Context], contextlib.AbstractAsyncContextManager[None]]

_FACTORIES: dict[str, Callable[..., RpcMethod]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


def surround(rpc: RpcMethod, method: str, scope: Scope) -> RpcMethod:
    """Returns the rpc with `scope(method, context)` entered before it and left after its last message.

    Our rpcs are coroutines and asynchronous generators. A plain function is the placeholder that a generated
    servicer has for an rpc that nobody wrote; it becomes MethodNotImplemented.
    """
    kind = (
        f"{'stream' if rpc.request_streaming else 'unary'}_{'stream' if rpc.response_streaming else 'unary'}"
    )
    behaviour = getattr(rpc, kind)
    if inspect.isasyncgenfunction(behaviour):
        surrounded: Callable[..., Any] = _around_generator(behaviour, method, scope)
    elif inspect.iscoroutinefunction(behaviour):
        surrounded = _around_coroutine(behaviour, method, scope)
    else:
        surrounded = _around_coroutine(_placeholder(method), method, scope)
    return _FACTORIES[kind](surrounded, rpc.request_deserializer, rpc.response_serializer)


def _around_coroutine(
    behaviour: Callable[[Any, Context], Awaitable[object]], method: str, scope: Scope
) -> Callable[[Any, Context], Awaitable[object]]:
    async def surrounded(request: object, context: Context) -> object:
        async with scope(method, context):
            return await behaviour(request, context)

    return surrounded


def _around_generator(
    behaviour: Callable[[Any, Context], AsyncGenerator[object, None]], method: str, scope: Scope
) -> Callable[[Any, Context], AsyncGenerator[object, None]]:
    async def surrounded(request: object, context: Context) -> AsyncGenerator[object, None]:
        # Closed here and now when the caller goes away, not whenever the collector comes by.
        async with scope(method, context), contextlib.aclosing(behaviour(request, context)) as replies:
            async for reply in replies:
                yield reply

    return surrounded


def _placeholder(method: str) -> Callable[[Any, Context], Awaitable[object]]:
    async def refuse(request: object, context: Context) -> object:
        raise MethodNotImplemented(f"{method} is not implemented by this server.", method=method)

    return refuse
