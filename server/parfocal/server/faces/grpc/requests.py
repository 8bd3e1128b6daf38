"""Reads a request's message. Checks only the message itself; knows neither registry nor tokenizer.

The ranges of sampling, stop and token ids are the engine's to check; its errors name the same fields.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from parfocal.engine import AdapterKey, Request, Sampling, Stop
from parfocal.server.errors import BadRequest
from parfocal.server.faces.grpc.chats import read_chat, tool_characters, tool_count
from parfocal.server.requests import Manner, PromptEncoder
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1.limits import (
    CHAT_MESSAGES,
    PROMPT_TOKENS,
    REQUEST_ID_CHARACTERS,
    STOP_STRING_BYTES,
    STOP_STRINGS,
    STOP_TOKENS,
    TOOL_CALLS,
    TOOL_CHARACTERS,
    TOP_LOGPROBS,
    VARIABLES_BYTES,
    Limit,
)

# A partial answer sent exactly at the deadline would arrive after the caller has hung up.
_MARGIN_S = 0.25
_MARGIN_SHARE = 0.1

Encode = Callable[[PromptEncoder, Manner], tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Input:
    """What to answer. `form` is `chat`, `raw` or None for token ids; `encode` gives the prompt's ids.

    `variables` are the names of what the caller sets for the template to read beside the messages.
    """

    form: str | None
    encode: Encode
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GenerateCall:
    """A checked message whose adapter and tokens are not known yet."""

    adapter: str
    input: Input
    prompt: str
    sampling: Sampling
    stop: Stop
    logprobs: bool
    top_logprobs: int
    echo: bool
    request_id: str

    def request(self, ids: tuple[int, ...], adapter: AdapterKey | None, deadline: float | None) -> Request:
        """The engine's request; `deadline` is a `time.monotonic()` instant."""
        return Request(
            request_id=self.request_id,
            prompt_ids=ids,
            adapter=adapter,
            sampling=self.sampling,
            stop=self.stop,
            logprobs=self.logprobs,
            top_logprobs=self.top_logprobs,
            deadline=deadline,
        )


def read_generate(message: pb.GenerateRequest, own_id: str) -> GenerateCall:
    """What `message` asks for, under `own_id` if the caller gave it no id.

    Raises BadRequest naming the field at fault.
    """
    options = message.options
    _hold(TOP_LOGPROBS, options.top_logprobs, "options.top_logprobs")
    if options.top_logprobs and not options.logprobs:
        raise BadRequest("top_logprobs needs logprobs; set both", field="options.top_logprobs")
    return GenerateCall(
        adapter=message.adapter,
        input=_tokens(message.tokens) if message.HasField("tokens") else read_input(message),
        prompt=message.prompt,
        sampling=_sampling(message.sampling),
        stop=_stop(message.stop),
        logprobs=options.logprobs,
        top_logprobs=options.top_logprobs,
        echo=options.echo,
        request_id=_checked_id(message.request_id) or own_id,
    )


def read_input(message: pb.GenerateRequest | pb.TokenizeRequest) -> Input:
    """The message's prompt or chat; raises BadRequest."""
    if message.HasField("prompt"):
        return _prompt(message.prompt)
    if message.HasField("chat"):
        return _chat(message.chat)
    raise BadRequest("the request has no input; give it a prompt, tokens or a chat", field="input")


def deadline_after(remaining_s: float | None) -> float | None:
    """When generation must end so that its answer arrives before the caller's deadline.

    `remaining_s` is the caller's time left, None without a deadline; the result is on `time.monotonic()`.
    """
    if remaining_s is None or not math.isfinite(remaining_s):
        return None
    return time.monotonic() + remaining_s - min(_MARGIN_S, _MARGIN_SHARE * max(remaining_s, 0.0))


def _prompt(text: str) -> Input:
    if not text:
        raise BadRequest("the prompt is empty; write at least one character", field="prompt")
    return Input("raw", lambda encoder, manner: encoder.prompt(text))


def _chat(message: pb.Chat) -> Input:
    _hold(CHAT_MESSAGES, len(message.messages), "chat.messages")
    _hold(VARIABLES_BYTES, message.template_variables.ByteSize(), "chat.template_variables")
    _hold(TOOL_CALLS, tool_count(message), "chat.tools")
    _hold(TOOL_CHARACTERS, tool_characters(message), "chat.tools")
    chat = read_chat(message)

    def encode(encoder: PromptEncoder, manner: Manner) -> tuple[int, ...]:
        variables = {**manner.variables, **chat.variables}
        return encoder.chat(replace(chat, variables=variables), manner.template)

    return Input("chat", encode, (*chat.variables, *(["tools"] if chat.tools else [])))


def _tokens(tokens: pb.Tokens) -> Input:
    if not tokens.ids:
        raise BadRequest("there are no token ids; give at least one", field="tokens.ids")
    _hold(PROMPT_TOKENS, len(tokens.ids), "tokens.ids")
    ids = tuple(tokens.ids)
    return Input(None, lambda encoder, manner: ids)


def _sampling(message: pb.Sampling) -> Sampling:
    """An unset field keeps the engine's default: `ListFields` gives only what was set, even to 0."""
    return Sampling(**{field.name: value for field, value in message.ListFields()})


def _stop(message: pb.Stop) -> Stop:
    _hold(STOP_STRINGS, len(message.strings), "stop.strings")
    _hold(STOP_TOKENS, len(message.token_ids), "stop.token_ids")
    for place, text in enumerate(message.strings):
        _check_stop_string(text, f"stop.strings[{place}]")
    return Stop(
        max_tokens=message.max_tokens if message.HasField("max_tokens") else None,
        min_tokens=message.min_tokens,
        strings=tuple(message.strings),
        token_ids=tuple(message.token_ids),
        ignore_eos=message.ignore_eos,
    )


def _check_stop_string(text: str, field: str) -> None:
    if not text:
        raise BadRequest("a stop string is empty; leave it out", field=field)
    _hold(STOP_STRING_BYTES, len(text.encode()), field)


def _checked_id(given: str) -> str:
    _hold(REQUEST_ID_CHARACTERS, len(given), "request_id")
    if not given.isprintable():
        raise BadRequest("the request_id has characters that cannot be printed", field="request_id")
    return given


def _hold(limit: Limit, count: int, field: str) -> None:
    if count > limit.most:
        raise BadRequest(f"{field} has {count} {limit.unit}; at most {limit.most} are accepted", field=field)
