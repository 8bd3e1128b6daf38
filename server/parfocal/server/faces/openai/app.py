"""The routes of OpenAI's API, on the same intake as gRPC's. Knows no engine and no tokenizer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from parfocal.registry import AdapterSummary, Page, Version
from parfocal.rpc import Guard, current_call
from parfocal.rpc.access import Caller, current_caller
from parfocal.server.errors import BadRequest, ServerError
from parfocal.server.faces.openai.access import Entry, check_generate, check_seen
from parfocal.server.faces.openai.bodies import read_body
from parfocal.server.faces.openai.connection import EventStream, while_connected
from parfocal.server.faces.openai.generating import Prompted, Writer, cancel, events, whole
from parfocal.server.faces.openai.models import Adapters, ServedBase, listed_models, one_model
from parfocal.server.faces.openai.outcomes import Admitted, Outcomes
from parfocal.server.faces.openai.reading import read_chat_call, read_completion_calls, tokenize_input
from parfocal.server.faces.openai.replies import ChatReplies, Head, Json, TextReplies, TokenText
from parfocal.server.faces.openai.schemas import (
    ChatBody,
    CompletionBody,
    DetokenizeBody,
    StreamOptions,
    TokenizeBody,
)
from parfocal.server.requests import (
    Account,
    EncoderPool,
    GenerateCall,
    Generation,
    Intake,
    RefusalCounter,
    Resolver,
    hold,
)
from parfocal.v1.limits import PROMPT_TOKENS

_READY = "ready"


class RouteUnknown(ServerError):
    """There is no such path."""

    status = "NOT_FOUND"
    reason = "ROUTE_UNKNOWN"


class MethodNotAllowed(ServerError):
    """The path takes another method."""

    status = "UNIMPLEMENTED"
    reason = "METHOD_NOT_ALLOWED"


@dataclass(frozen=True, slots=True)
class RestParts:
    """What the routes work with, once it is there."""

    intake: Intake
    resolver: Resolver
    encoders: EncoderPool
    token_text: TokenText
    refusals: RefusalCounter
    adapters: Adapters
    base: ServedBase


class RestApp:
    """The application. It answers probes from the start; `admitted` lets no other request in before `serves`.

    `state` tells the server's state, the `guard` who is let in. What is raised on purpose ends as an error of
    OpenAI's shape.
    """

    def __init__(
        self,
        admitted: Admitted,
        state: Callable[[], str],
        guard: Guard = Guard(),  # noqa: B008  # frozen
    ) -> None:
        self._routes = _Routes(state)
        router, entry = _router(self._routes), Entry(guard)
        entry.check_total(_names(router))
        self._app = Outcomes(_Named(router), admitted, entry.enter)

    def serves(self, parts: RestParts) -> None:
        """Notes what requests find from now on."""
        self._routes.parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serves one request."""
        await self._app(scope, receive, send)


class _Named:
    """Says which paths there are; a bare router knows only the number of a failure.

    There is no Starlette application: it would end errors itself, before they reach who tells them.
    """

    def __init__(self, router: Router) -> None:
        self._router = router

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["app"] = self  # with it, the router raises instead of answering in plain text
        try:
            await self._router(scope, receive, send)
        except HTTPException as error:
            raise _unrouted(scope, error) from error


def _router(routes: "_Routes") -> Router:
    return Router(
        routes=[
            Route("/v1/chat/completions", routes.chat_completions, methods=["POST"]),
            Route("/v1/completions", routes.completions, methods=["POST"]),
            Route("/v1/models", routes.models, methods=["GET"]),
            Route("/v1/models/{model:path}", routes.model, methods=["GET"]),
            Route("/tokenize", routes.tokenize, methods=["POST"]),
            Route("/detokenize", routes.detokenize, methods=["POST"]),
            Route("/tokenizer_info", routes.tokenizer_info, methods=["GET"]),
            Route("/healthz", routes.healthz, methods=["GET"]),
            Route("/readyz", routes.readyz, methods=["GET"]),
        ],
        redirect_slashes=False,
    )


def _names(router: Router) -> list[str]:
    """Every route as the table of access names it; HEAD is GET without a body."""
    routes = [route for route in router.routes if isinstance(route, Route)]
    return [
        f"{method} {route.path}" for route in routes for method in (route.methods or ()) if method != "HEAD"
    ]


class _Routes:
    def __init__(self, state: Callable[[], str]) -> None:
        self.parts: RestParts | None = None
        self._state = state

    @property
    def _parts(self) -> RestParts:
        assert self.parts is not None, "no request is admitted before"
        return self.parts

    async def chat_completions(self, request: Request) -> Response:
        body = await read_body(request, ChatBody)
        call = read_chat_call(body, self._adapter(body.model), current_call().request_id)
        generation = await self._admitted(call)
        writer = ChatReplies(self._parts.token_text, bool(body.logprobs), generation.tools)
        head = self._head("chatcmpl", "chat.completion", body.model, generation)
        prompted = [Prompted(generation, writer)]
        return await self._reply(request, head, prompted, _streaming(body.stream, body.stream_options))

    async def completions(self, request: Request) -> Response:
        body = await read_body(request, CompletionBody)
        calls = read_completion_calls(body, self._adapter(body.model), current_call().request_id)
        generations = await self._admitted_all(calls)
        writers: list[Writer] = [
            TextReplies(self._parts.token_text, body.logprobs is not None, each.echo) for each in generations
        ]
        head = self._head("cmpl", "text_completion", body.model, generations[0])
        prompted = [
            Prompted(generation, writer, place * calls[0].choices)
            for place, (generation, writer) in enumerate(zip(generations, writers, strict=True))
        ]
        return await self._reply(request, head, prompted, _streaming(body.stream, body.stream_options))

    async def models(self, request: Request) -> Response:
        limit, after = request.query_params.get("limit"), request.query_params.get("after", "")
        if limit is not None and not (limit.isascii() and limit.isdigit() and len(limit) < 10):
            raise BadRequest(f"limit is {limit[:40]!r}; give a number", field="limit")
        most = None if limit is None else int(limit)
        base, adapters = self._parts.base, _SeenAdapters(self._parts.adapters, current_caller())
        return JSONResponse(await asyncio.to_thread(listed_models, base, adapters, after, most))

    async def model(self, request: Request) -> Response:
        model = request.path_params["model"]
        if not self._parts.base.is_named(model):
            check_seen(model)
        return JSONResponse(await asyncio.to_thread(one_model, self._parts.base, self._parts.adapters, model))

    async def tokenize(self, request: Request) -> Response:
        body = await read_body(request, TokenizeBody)
        given = tokenize_input(body)
        resolved = await self._parts.resolver.resolve(self._adapter(body.model))
        ids = await self._parts.encoders.run(lambda encoder: given.encode(encoder, resolved.manner))
        context_tokens = self._parts.base.context_tokens
        return JSONResponse({"tokens": ids, "count": len(ids), "max_model_len": context_tokens})

    async def detokenize(self, request: Request) -> Response:
        body = await read_body(request, DetokenizeBody)
        hold(PROMPT_TOKENS, len(body.tokens), "tokens")
        size = self._parts.base.vocabulary_size
        wrong = next((each for each in body.tokens if not 0 <= each < size), None)
        if wrong is not None:
            raise BadRequest(
                f"tokens has {wrong}; the vocabulary has ids from 0 to {size - 1}", field="tokens"
            )
        text = await self._parts.encoders.run(lambda encoder: encoder.text(body.tokens))
        return JSONResponse({"prompt": text})

    async def tokenizer_info(self, request: Request) -> Response:
        return JSONResponse(self._parts.base.tokenizer)

    async def healthz(self, request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(self, request: Request) -> Response:
        state = self._state()
        return PlainTextResponse(f"{state}\n", 200 if state == _READY else 503)

    async def _reply(
        self, request: Request, head: Head, prompted: Sequence[Prompted], options: StreamOptions | None
    ) -> Response:
        if options is not None:
            kind = "chat.completion.chunk" if head.kind == "chat.completion" else head.kind
            stream = events(head, kind, prompted, bool(options.include_usage))
            return EventStream(stream, head.headers(), lambda: cancel(prompted))
        reply: Json = await while_connected(request.receive, whole(head, prompted))
        return JSONResponse(reply, headers=head.headers())

    def _adapter(self, model: str) -> str:
        """The adapter that a model names, empty for the base; raises ScopeMissing."""
        adapter = "" if self._parts.base.is_named(model) else model
        check_generate(adapter)
        return adapter

    def _head(self, prefix: str, kind: str, model: str, generation: Generation) -> Head:
        base, adapter = self._parts.base, generation.resolved.adapter
        number = f"{prefix}-{current_call().request_id}"
        return Head(number, kind, model or base.id, adapter, base.digest)

    async def _admitted(self, call: GenerateCall) -> Generation:
        account = Account(current_call(), self._parts.refusals, call.request_id, call.adapter)
        with account:
            return await self._parts.intake.admit(call, account, None)

    async def _admitted_all(self, calls: Sequence[GenerateCall]) -> list[Generation]:
        """All of them or none."""
        admitted: list[Generation] = []
        try:
            for call in calls:
                admitted.append(await self._admitted(call))
        except BaseException:
            for generation in admitted:
                generation.cancel()
            raise
        return admitted


class _SeenAdapters:
    """The adapters that a caller sees."""

    def __init__(self, adapters: Adapters, caller: Caller) -> None:
        self._adapters = adapters
        self._caller = caller

    def adapters(self, page_size: int = 0, page_token: str = "") -> Page[AdapterSummary]:
        page = self._adapters.adapters(page_size, page_token)
        seen = tuple(each for each in page.items if self._caller.sees(each.name))
        return Page(seen, page.next_page_token)

    def resolve(self, reference: str) -> Version:
        return self._adapters.resolve(reference)


def _streaming(stream: bool | None, options: StreamOptions | None) -> StreamOptions | None:
    if options is not None and not stream:
        raise BadRequest("stream_options needs stream; set both", field="stream_options")
    return (options or StreamOptions()) if stream else None


def _unrouted(scope: Scope, error: HTTPException) -> ServerError:
    path = scope["path"][:100]
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return MethodNotAllowed(f"{path} takes {allowed}, not {scope['method']}")
    return RouteUnknown(f"there is no {path}; see /v1/models and /v1/chat/completions")
