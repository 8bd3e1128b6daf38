"""How each request of the Hub's clients ends: with an answer or a refusal, and one line of the log."""

import asyncio
import uuid
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from email.utils import formatdate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parfocal.registry.faces.hub.errors import AmbiguousLength
from parfocal.registry.faces.hub.refusals import Refusal, refusal_of
from parfocal.rpc import Call, call_told, cause_of_end, failure_told
from parfocal.v1.limits import REQUEST_ID_CHARACTERS

Admitted = Callable[[str], AbstractAsyncContextManager[None]]
_READS = frozenset({"GET", "HEAD"})


class Outcomes:
    """Around every request: admitted and logged as rpcs are. Whatever is raised ends only this request.

    After the head of an answer was sent, the connection is broken off: nobody takes a part for the whole.
    """

    def __init__(self, app: ASGIApp, admitted: Admitted, enter: Callable[[Scope], None]) -> None:
        self._app = app
        self._admitted = admitted
        self._enter = enter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = Call(f"{scope['method'][:20]} {scope['path'][:100]}", _peer(scope), _asked_id(scope))
        sender = _Sender(send, call)
        reads = scope["method"] in _READS
        async with call_told(call):
            try:
                _check_framing(scope)
                self._enter(scope)
                async with self._admitted(call.method):
                    await self._app(scope, receive, sender)
            except asyncio.CancelledError:  # its caller went away, or it was ended with a cause
                cause = cause_of_end()
                if cause is None:
                    raise
                await sender.refuse(refusal_of(failure_told(cause, call), reads))
            except Exception as error:  # this face's one broad except: it ends only this request
                await sender.refuse(refusal_of(failure_told(error, call), reads))


class _Sender:
    """Sends a response with the request's id in its head."""

    def __init__(self, send: Send, call: Call) -> None:
        self._send = send
        self._call = call
        self._is_begun = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._is_begun = True
            own = {"x-request-id": self._call.request_id, "date": formatdate(usegmt=True)}
            pairs = [(name.encode(), value.encode()) for name, value in own.items()]
            message = {**message, "headers": [*message.get("headers", ()), *pairs]}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        if self._is_begun:
            return  # less than was announced: the server closes the connection, and the client sees that
        headers = {**refusal.headers, "content-length": str(len(refusal.body))}
        head = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": refusal.status, "headers": head})
        await self({"type": "http.response.body", "body": refusal.body})


def _check_framing(scope: Scope) -> None:
    """Refuses a head that gives its body two lengths: the next server on the way might take the other one."""
    names = {name for name, _ in scope["headers"]}
    if b"transfer-encoding" in names and b"content-length" in names:
        raise AmbiguousLength("the head has both transfer-encoding and content-length; send one of them")


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else ""


def _asked_id(scope: Scope) -> str:
    """The caller's own id, if it can stand in a log."""
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    fits = 0 < len(given) <= REQUEST_ID_CHARACTERS.most and given.isascii() and given.isprintable()
    return given if fits else uuid.uuid4().hex
