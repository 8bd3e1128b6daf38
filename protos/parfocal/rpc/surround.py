"""Puts a scope around an rpc of any of the four kinds. Knows neither errors' statuses nor who is draining."""

import asyncio
import contextlib
import inspect
import math
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, TypeVar, cast

import grpc
from google.protobuf.message import DecodeError, Message

from parfocal.rpc.ending import Ending
from parfocal.rpc.errors import (
    FirstMessageLate,
    MessageMissing,
    MessageTooLarge,
    MessageUnreadable,
    MethodNotImplemented,
    ReaderLate,
)
from parfocal.rpc.inflation import GZIP, inflated
from parfocal.rpc.parts import UNCOUNTED_BYTES, check_parts
from parfocal.v1.limits import FIRST_MESSAGE_S, HEADER_BYTES

AnyMessage = TypeVar("AnyMessage", bound=Message)

# Messages of any type pass here. Quoted, because only the type checker's view of grpc has type parameters.
RpcMethod: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Interceptor: TypeAlias = "grpc.aio.ServerInterceptor[Any, Any]"
Continuation: TypeAlias = Callable[[grpc.HandlerCallDetails], Awaitable[RpcMethod]]
Scope: TypeAlias = Callable[[str, Context], contextlib.AbstractAsyncContextManager[None]]
_Received: TypeAlias = AsyncGenerator[bytes, None]
_Read: TypeAlias = Callable[[_Received], Awaitable[Any]]

_SURROUNDED = "parfocal_surrounded"


@dataclass(frozen=True, slots=True)
class _Surrounded:
    """An rpc's own function, what reads for it, and the scope around both.

    A function that has one around it already gets none more: every message would cross each. Its scopes nest.
    """

    behaviour: Callable[..., Any]
    read: _Read
    scope: Scope
    sends: "Sends"


class Sends:
    """Which rpcs wait for their caller to take a message, and since when. Of one event loop.

    Who takes none for `most_s` seconds is told ReaderLate; flow control would let the rpc wait for ever, in
    its place.
    """

    def __init__(self, most_s: float = math.inf) -> None:
        self._most_s = most_s
        self._since: dict[asyncio.Task[object], float] = {}
        self._endings: dict[asyncio.Task[object], Ending] = {}
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Notes that this task's rpc sends from now on: until `end`, or to its own end."""
        task = asyncio.current_task()
        if self._most_s == math.inf or task is None:
            return
        if task not in self._since:
            self._endings[task] = Ending.of_this_task()
            task.add_done_callback(self._forget)
        self._since[task] = asyncio.get_running_loop().time()
        if self._timer is None:
            self._look_later()

    def end(self) -> None:
        """Notes that what this task's rpc sent has been taken."""
        task = asyncio.current_task()
        if task in self._since:
            self._since[task] = math.inf

    def _forget(self, task: "asyncio.Task[object]") -> None:
        self._since.pop(task, None)
        self._endings.pop(task, None)

    def _look_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._most_s / 4, self._look)

    def _look(self) -> None:
        self._timer = None
        latest = asyncio.get_running_loop().time() - self._most_s
        for task in [task for task, since in self._since.items() if since <= latest]:
            self._endings[task].end(
                ReaderLate(f"no message was taken for {self._most_s:g} s; read on while an rpc answers")
            )
        if self._since:
            self._look_later()


def surround(
    rpc: RpcMethod,
    method: str,
    scope: Scope,
    first_message_s: float = FIRST_MESSAGE_S.most,
    sends: Sends = Sends(),  # noqa: B008  # one that ends nothing has no state
) -> RpcMethod:
    """The rpc with `scope(method, context)` entered before it and left after its last message.

    Its messages are read inside the scope: bytes that are none raise MessageUnreadable there, and a caller
    who sends nothing for `first_message_s` seconds raises FirstMessageLate. So what is returned reads a
    stream, whatever the rpc takes: gRPC itself waits for a single message for ever, before any scope is
    entered. An rpc that is not implemented raises MethodNotImplemented. `sends` is told what waits for the
    caller.
    """
    behaviour = behaviour_of(rpc)
    known: _Surrounded | None = getattr(behaviour, _SURROUNDED, None)
    write = rpc.response_serializer
    if known is not None:
        whole = replace(known, scope=_both(scope, known.scope))
    else:
        written = behaviour if is_written(behaviour) else _placeholder(method)
        whole = _Surrounded(written, _reader(rpc, method, first_message_s), scope, sends)
        write = _writer(write)
    around = _around_generator if inspect.isasyncgenfunction(whole.behaviour) else _around_coroutine
    surrounded = around(whole, method)
    vars(surrounded)[_SURROUNDED] = whole
    if rpc.response_streaming:
        return grpc.stream_stream_rpc_method_handler(surrounded, None, write)
    return grpc.stream_unary_rpc_method_handler(surrounded, None, write)


class AskedFor(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # not generic when it runs
    """Changes the rpcs whose metadata have a `header`; nothing is added around others.

    `change` makes the rpc that is served of one, its method and what the header says.
    """

    def __init__(self, header: str, change: Callable[[RpcMethod, str, str], RpcMethod]) -> None:
        self._header = header
        self._change = change

    async def intercept_service(
        self, continuation: Continuation, handler_call_details: grpc.HandlerCallDetails
    ) -> RpcMethod:
        """The rpc, changed if its caller asks for it."""
        rpc = await continuation(handler_call_details)
        for name, value in handler_call_details.invocation_metadata or ():
            if name == self._header and rpc is not None:
                rpc = self._change(rpc, handler_call_details.method, str(value))
        return rpc


def as_reply(kind: type[AnyMessage], data: bytes) -> AnyMessage:
    """`data`, to be returned by an rpc whose reply is a message of `kind`: it is sent as it is.

    So large replies are written by whoever has the time, and not by the event loop.
    """
    return cast(AnyMessage, data)


def _writer(serialise: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    """What `serialise` makes of messages, and bytes as they are: some rpcs return what was written before."""
    if serialise is None:
        return None
    return lambda reply: reply if isinstance(reply, bytes) else serialise(reply)


def behaviour_of(rpc: RpcMethod) -> Callable[..., Any]:
    """The function that serves the rpc."""
    requests = "stream" if rpc.request_streaming else "unary"
    replies = "stream" if rpc.response_streaming else "unary"
    behaviour: Callable[..., Any] = getattr(rpc, f"{requests}_{replies}")
    return behaviour


def is_written(behaviour: object) -> bool:
    """Whether this rpc is implemented.

    Ours are coroutines and asynchronous generators. A plain function is the placeholder of a generated
    servicer.
    """
    return inspect.iscoroutinefunction(behaviour) or inspect.isasyncgenfunction(behaviour)


def _both(outer: Scope, inner: Scope) -> Scope:
    @contextlib.asynccontextmanager
    async def both(method: str, context: Context) -> AsyncIterator[None]:
        async with outer(method, context), inner(method, context):
            yield

    return both


def _around_coroutine(whole: _Surrounded, method: str) -> Callable[..., Any]:
    async def surrounded(received: AsyncIterable[bytes], context: Context) -> object:
        async with whole.scope(method, context), _left_at_end(received) as messages:
            reply = await whole.behaviour(await whole.read(messages), context)
            whole.sends.begin()
            return reply

    return surrounded


def _around_generator(whole: _Surrounded, method: str) -> Callable[..., Any]:
    # gRPC writes what a generator yields, but of one that is cancelled meanwhile it tells the caller nothing.
    async def surrounded(received: AsyncIterable[bytes], context: Context) -> None:
        async with whole.scope(method, context), _left_at_end(received) as messages:
            request = await whole.read(messages)
            # Closed immediately when the caller goes away, not whenever it is garbage-collected.
            async with contextlib.aclosing(whole.behaviour(request, context)) as replies:
                async for reply in replies:
                    whole.sends.begin()
                    await context.write(reply)
                    whole.sends.end()

    return surrounded


def _left_at_end(received: AsyncIterable[bytes]) -> contextlib.aclosing[_Received]:
    """What is received, read no further once the rpc is over.

    gRPC's reader and its generator hold each other, and with them the rpc, until the generator has ended.
    """
    # gRPC has a generator made for each rpc, by a reader that is none.
    return contextlib.aclosing(cast(_Received, aiter(received)))


def _reader(rpc: RpcMethod, method: str, first_message_s: float) -> _Read:
    """What turns what is received into what the rpc takes: its one message, or all of them."""
    parse = rpc.request_deserializer
    message = _decoder(parse, method)

    async def only(received: _Received) -> object:
        first = await _first(received, method, first_message_s)
        if first is None:
            raise MessageMissing(f"{method} was called without a message; send one", method=method)
        return message(first)

    async def messages(received: _Received) -> AsyncIterator[object]:
        first = await _first(received, method, first_message_s)
        if first is not None:
            _check_header(first, method)
            yield message(first)
            async for each in received:
                yield message(_plain(each, method))

    async def all_of(received: _Received) -> object:
        # What refuses any rpc has no parser, and reads nothing.
        return received if parse is None else messages(received)

    return all_of if rpc.request_streaming else only


def _decoder(parse: Callable[[bytes], Any] | None, method: str) -> Callable[[bytes], object]:
    """What turns bytes into the message that the rpc takes; raises MessageUnreadable or MessageTooLarge."""
    # Of generated parsers; what else turns bytes into a message has none.
    kind = getattr(getattr(parse, "__self__", None), "DESCRIPTOR", None)

    def message(whole: bytes) -> object:
        if parse is None:
            return whole
        try:
            if kind is not None and len(whole) > UNCOUNTED_BYTES:
                check_parts(whole, kind, method)
            return parse(whole)
        except (DecodeError, ValueError) as error:
            raise _unreadable(whole, method) from error

    return message


async def _first(received: _Received, method: str, patience_s: float) -> bytes | None:
    """The first message, None if there is none; raises FirstMessageLate, and what inflating it raises."""
    try:
        async with asyncio.timeout(patience_s):
            first = await anext(aiter(received), None)
    except TimeoutError as error:
        raise FirstMessageLate(
            f"no message came within {patience_s:g} s of the call of {method}; send it with the call",
            method=method,
        ) from error
    return None if first is None else _plain(first, method)


def _plain(received: bytes, method: str) -> bytes:
    return inflated(received, method) if received.startswith(GZIP) else received


def _check_header(first: bytes, method: str) -> None:
    if len(first) > HEADER_BYTES.most:
        raise MessageTooLarge(
            f"the first message to {method} has {len(first)} bytes; at most "
            f"{HEADER_BYTES.most} begin a stream",
            method=method,
        )


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
