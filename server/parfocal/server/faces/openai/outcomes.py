"""How each HTTP request ends: an error becomes an object of OpenAI's, and one log line tells it."""

import asyncio
import contextlib
import json
import uuid
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from email.utils import formatdate
from typing import ClassVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parfocal.rpc import Call, call_told, cause_of_end, failure_told
from parfocal.server.errors import BadRequest
from parfocal.server.faces.openai.errors import Refusal, refusal_of
from parfocal.v1.limits import REQUEST_ID_CHARACTERS

Admitted = Callable[[str], AbstractAsyncContextManager[None]]

# Probes ask often, and also while the server loads or drains.
UNADMITTED = frozenset({"/healthz", "/readyz"})

# Of a reply; so much is left to the connection.
_SHORT_BYTES = 64 << 10


class AmbiguousLength(BadRequest):
    """Two servers could read the head in two ways; the connection cannot go on."""

    reason = "AMBIGUOUS_LENGTH"
    headers: ClassVar[Mapping[str, str]] = {"connection": "close"}


class Outcomes:
    """Around every request: admitted and logged as rpcs are, it ends with an answer or a refusal.

    Whatever is raised ends only this request: a domain error tells the caller what to do, anything else is
    500 with an id under which the log has the cause. After the head has been sent, an event of a stream tells
    the error instead.
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
        call = Call(f"{scope['method']} {scope['path'][:100]}", _peer(scope), _asked_id(scope))
        sender = _Sender(send, call)
        async with call_told(call):
            try:
                _check_framing(scope)
                self._enter(scope)
                async with self._place(scope, call):
                    await self._app(scope, receive, sender)
            except asyncio.CancelledError:  # its caller went away, or it was ended with a cause
                cause = cause_of_end()
                if cause is None:
                    raise
                await sender.refuse(refusal_of(failure_told(cause, call)))
            except Exception as error:  # this face's one broad except: it ends only this request
                await sender.refuse(refusal_of(failure_told(error, call)))

    def _place(self, scope: Scope, call: Call) -> AbstractAsyncContextManager[None]:
        return contextlib.nullcontext() if scope["path"] in UNADMITTED else self._admitted(call.method)


class _Sender:
    """Sends a response with the request's id in its head, and an error in whatever form still fits."""

    def __init__(self, send: Send, call: Call) -> None:
        self._send = send
        self._call = call
        self._status = 0
        self._ended = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            own = {"x-request-id": self._call.request_id, "date": formatdate(usegmt=True)}
            pairs = [(name.encode(), value.encode()) for name, value in own.items()]
            message = {**message, "headers": [*message.get("headers", ()), *pairs]}
        if message["type"] == "http.response.body":
            self._ended = not message.get("more_body", False)
            if self._ended and len(message.get("body", b"")) > _SHORT_BYTES:
                # The end waits until all before it has been read: until then the request keeps its place.
                await self._send({**message, "more_body": True})
                message = {"type": "http.response.body"}
        await self._send(message)

    async def refuse(self, refusal: Refusal) -> None:
        body = json.dumps(refusal.body).encode()
        if self._status:
            if not self._ended:
                await self({"type": "http.response.body", "body": b"data: " + body + b"\n\n"})
            return
        headers = {"content-type": "application/json", "content-length": str(len(body)), **refusal.headers}
        head = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self({"type": "http.response.start", "status": refusal.status, "headers": head})
        await self({"type": "http.response.body", "body": body})


def _check_framing(scope: Scope) -> None:
    """Refuses a head that gives its body two lengths: the next server on the way might take the other one."""
    names = {name for name, _ in scope["headers"]}
    if b"transfer-encoding" in names and b"content-length" in names:
        raise AmbiguousLength(
            "the head has both transfer-encoding and content-length; send one of them",
            field="transfer-encoding",
        )


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return f"{client[0]}:{client[1]}" if client else ""


def _asked_id(scope: Scope) -> str:
    """The caller's own id, if it can stand in a log."""
    given = dict(scope["headers"]).get(b"x-request-id", b"").decode("latin-1")
    fits = 0 < len(given) <= REQUEST_ID_CHARACTERS.most and given.isascii() and given.isprintable()
    return given if fits else uuid.uuid4().hex
