"""The routes of OpenAI's API, on the same intake as gRPC's. Knows no engine and no tokenizer."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, Router
from starlette.types import Receive, Scope, Send

from parfocal.registry import AdapterSummary, Page, Version
from parfocal.rpc import Guard, current_call, current_caller
from parfocal.rpc.access import Caller
from parfocal.server.errors import BadRequest, ServerError
from parfocal.server.faces.openai.access import Entry, check_generate, check_seen, may_generate
from parfocal.server.faces.openai.bodies import Body, read_body
from parfocal.server.faces.openai.connection import EventStream, encoded, while_connected
from parfocal.server.faces.openai.generating import Prompted, Writer, aside, cancel, events, whole
from parfocal.server.faces.openai.models import Adapters, ServedBase, listed_models, one_model
from parfocal.server.faces.openai.outcomes import Admitted, Outcomes
from parfocal.server.faces.openai.reading import (
    checked_tokens,
    read_chat_call,
    read_completion_calls,
    read_embed_call,
    tokenize_input,
)
from parfocal.server.faces.openai.replies import ChatReplies, Head, TextReplies, TokenText, embeddings
from parfocal.server.faces.openai.schemas import (
    ChatBody,
    CompletionBody,
    DetokenizeBody,
    Drawing,
    EmbeddingBody,
    StreamOptions,
    TokenizeBody,
)
from parfocal.server.faces.openai.text_logprobs import TextLogprobs
from parfocal.server.requests import (
    Account,
    EmbedCall,
    EncoderPool,
    GenerateCall,
    Generation,
    Input,
    Intake,
    Line,
    PartLine,
    PromptEncoder,
    RefusalCounter,
    Resolved,
    Resolver,
    summed,
)
from parfocal.v1.limits import FIRST_MESSAGE_S

T = TypeVar("T")

_READY = "ready"
_JSON = "application/json"
# As many numbers of a vector are written in the time of a log-probability.
_PER_LOGPROB = 32


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
    body_wait_s: float = FIRST_MESSAGE_S.most


class RestApp:
    """The application. It answers probes from the start; `admitted` lets no other request in before `serves`.

    `state` tells the server's state, the `guard` who is let in. What is raised on purpose ends as an error of
    OpenAI's shape. `routes` are all that there are, as `METHOD /path`.
    """

    def __init__(
        self,
        admitted: Admitted,
        state: Callable[[], str],
        guard: Guard = Guard(),  # noqa: B008  # frozen
    ) -> None:
        self._routes = _Routes(state)
        router, entry = _router(self._routes), Entry(guard)
        self.routes = _names(router)
        entry.check_total(self.routes)
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
            Route("/v1/embeddings", routes.embeddings, methods=["POST"]),
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
        def read(body: ChatBody) -> tuple[ChatBody, GenerateCall]:
            return body, read_chat_call(body, self._adapter(body), current_call().request_id)

        body, call = await self._body(request, ChatBody, read)
        options = _streaming(body)
        generation = await self._admitted(call, current_call())
        writer = ChatReplies(self._parts.token_text, bool(body.logprobs), generation.tools)
        warnings = generation.warnings
        head = self._head("chatcmpl", "chat.completion", body.model, generation.resolved, warnings)
        return await self._reply(request, head, [Prompted(generation, writer)], options)

    async def completions(self, request: Request) -> Response:
        def read(body: CompletionBody) -> tuple[CompletionBody, list[GenerateCall]]:
            return body, read_completion_calls(body, self._adapter(body), current_call().request_id)

        body, calls = await self._body(request, CompletionBody, read)
        options = _streaming(body)
        # Of several prompts, the log's one line sums up what they tell.
        lines = [PartLine(call.request_id) for call in calls] if len(calls) > 1 else []
        generations = await self._admitted_all(calls, lines or [current_call()])
        reads_prompt = calls[0].prompt_logprobs is not None
        writers: list[Writer] = [
            TextReplies(self._logprobs(body, each), each.echo, reads_prompt) for each in generations
        ]
        first = generations[0]
        head = self._head("cmpl", "text_completion", body.model, first.resolved, first.warnings)
        prompted = [
            Prompted(generation, writer, place * calls[0].choices)
            for place, (generation, writer) in enumerate(zip(generations, writers, strict=True))
        ]
        if lines:
            current_call().facts |= {**lines[0].facts, "prompts": len(lines)}
        return await self._reply(request, head, prompted, options, lines)

    async def embeddings(self, request: Request) -> Response:
        def read(body: EmbeddingBody) -> tuple[EmbeddingBody, EmbedCall]:
            return body, read_embed_call(body, self._adapter(body), current_call().request_id)

        body, call = await self._body(request, EmbeddingBody, read)
        parts, asked_for = self._parts, _asked_for(call.adapter, call.blend)
        account = Account(current_call(), parts.refusals, call.request_id, asked_for)
        with account:
            embedding = await parts.intake.embed(call, account, None)
        try:
            completions = await while_connected(request.receive, embedding.vectors())
        finally:
            embedding.cancel()
        head = self._head("", "", body.model, embedding.resolved)
        numbers = len(completions) * len(completions[0].embedding)

        def reply() -> bytes:
            return encoded(embeddings(head.model, completions, body.encoding_format == "base64"))

        return _told(await aside(numbers // _PER_LOGPROB, reply), head)

    async def models(self, request: Request) -> Response:
        limit, after = request.query_params.get("limit"), request.query_params.get("after", "")
        if limit is not None and not (limit.isascii() and limit.isdigit() and len(limit) < 10):
            raise BadRequest(f"limit is {limit[:40]!r}; give a number", field="limit")
        most = None if limit is None else int(limit)
        base, adapters = self._parts.base, _SeenAdapters(self._parts.adapters, current_caller())
        shows_base = may_generate("")
        found = await asyncio.to_thread(
            lambda: encoded(listed_models(base, adapters, after, most, shows_base))
        )
        return Response(found, media_type=_JSON)

    async def model(self, request: Request) -> Response:
        model = request.path_params["model"]
        if not self._parts.base.is_named(model):
            check_seen(model)
        return JSONResponse(await asyncio.to_thread(one_model, self._parts.base, self._parts.adapters, model))

    async def tokenize(self, request: Request) -> Response:
        def read(body: TokenizeBody) -> tuple[Input, str]:
            return tokenize_input(body), self._allowed(body.model)

        given, adapter = await self._body(request, TokenizeBody, read)
        resolved = await self._parts.resolver.resolve(adapter)
        context_tokens = self._parts.base.context_tokens

        def tokenized(encoder: PromptEncoder) -> bytes:
            ids = given.encode(encoder, resolved.manner)
            return encoded({"tokens": ids, "count": len(ids), "max_model_len": context_tokens})

        return Response(await self._parts.encoders.run(tokenized), media_type=_JSON)

    async def detokenize(self, request: Request) -> Response:
        def read(body: DetokenizeBody) -> list[int]:
            return checked_tokens(body, self._parts.base.vocabulary_size)

        ids = await self._body(request, DetokenizeBody, read)
        text = await self._parts.encoders.run(lambda encoder: encoded({"prompt": encoder.text(ids)}))
        return Response(text, media_type=_JSON)

    async def tokenizer_info(self, request: Request) -> Response:
        return JSONResponse(self._parts.base.tokenizer)

    async def healthz(self, request: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def readyz(self, request: Request) -> Response:
        state = self._state()
        return PlainTextResponse(f"{state}\n", 200 if state == _READY else 503)

    async def _reply(
        self,
        request: Request,
        head: Head,
        prompted: Sequence[Prompted],
        options: StreamOptions | None,
        lines: Sequence[PartLine] = (),
    ) -> Response:
        call = current_call()

        def end() -> None:
            cancel(prompted)
            if lines:
                call.facts |= summed(lines)

        if options is not None:
            kind = "chat.completion.chunk" if head.kind == "chat.completion" else head.kind
            stream = events(head, kind, prompted, bool(options.include_usage))
            return EventStream(stream, head.headers(), end)
        try:
            return _told(await while_connected(request.receive, whole(head, prompted)), head)
        finally:
            end()

    async def _body(self, request: Request, kind: type[Body], read: Callable[[Body], T]) -> T:
        return await read_body(request, kind, read, self._parts.body_wait_s)

    def _adapter(self, body: Drawing | EmbeddingBody) -> str:
        """The adapter that the body's model is, empty for the base, also beside a blend.

        Raises ScopeMissing unless the caller may generate with it, or with each adapter of the blend.
        """
        if not body.blend:
            return self._allowed(body.model)
        for part in body.blend:
            check_generate(part.model)
        return self._named(body.model)

    def _allowed(self, model: str) -> str:
        adapter = self._named(model)
        check_generate(adapter)
        return adapter

    def _named(self, model: str) -> str:
        return "" if self._parts.base.is_named(model) else model

    def _head(
        self, prefix: str, kind: str, model: str, resolved: Resolved, warnings: tuple[str, ...] = ()
    ) -> Head:
        base = self._parts.base
        number = f"{prefix}-{current_call().request_id}"
        return Head(number, kind, model or base.id, resolved.adapter, base.digest, warnings)

    def _logprobs(self, body: CompletionBody, generation: Generation) -> TextLogprobs | None:
        if body.logprobs is None:
            return None
        return TextLogprobs(self._parts.token_text, generation.echo, generation.prompt_ids)

    async def _admitted(self, call: GenerateCall, line: Line) -> Generation:
        asked_for = _asked_for(call.adapter, call.blend)
        account = Account(line, self._parts.refusals, call.request_id, asked_for)
        with account:
            return await self._parts.intake.admit(call, account, None)

    async def _admitted_all(self, calls: Sequence[GenerateCall], lines: Sequence[Line]) -> list[Generation]:
        """All of them or none."""
        admitted: list[Generation] = []
        try:
            for call, line in zip(calls, lines, strict=True):
                admitted.append(await self._admitted(call, line))
                await asyncio.sleep(0)  # short prompts of many choices never wait for anything
        except BaseException:  # a caller may leave while others have the loop: only this knows the admitted
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


def _asked_for(adapter: str, blend: Sequence[object] | None) -> str:
    """The adapter as the log names it before it is known; empty for the base."""
    return adapter or ("blend" if blend else "")


def _told(reply: bytes, head: Head) -> Response:
    return Response(reply, headers=head.headers(), media_type=_JSON)


def _streaming(body: Drawing) -> StreamOptions | None:
    """How to stream, None if not; raises BadRequest."""
    if body.stream_options is not None and not body.stream:
        raise BadRequest("stream_options needs stream; set both", field="stream_options")
    return (body.stream_options or StreamOptions()) if body.stream else None


def _unrouted(scope: Scope, error: HTTPException) -> ServerError:
    path = scope["path"][:100]
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return MethodNotAllowed(f"{path} takes {allowed}, not {scope['method']}")
    return RouteUnknown(f"there is no {path}; see /v1/models and /v1/chat/completions")
