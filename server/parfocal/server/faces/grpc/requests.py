"""Reads a request's message. Checks only the message itself; knows neither registry nor tokenizer.

The ranges of sampling, stop and token ids are the engine's to check; its errors name the same fields.
"""

import math
import time
from collections.abc import Sequence
from typing import Any

from parfocal.engine import Pooling, Sampling, Stop
from parfocal.engine.constraints import Choice, ConstraintSpec, Grammar, JsonObject, JsonSchema, Regex
from parfocal.server.errors import BadRequest
from parfocal.server.faces.grpc.chats import read_chat, read_tool_choice, tool_characters, tool_count
from parfocal.server.requests import (
    Blend,
    EmbedCall,
    GenerateCall,
    Input,
    chat_input,
    hold,
    naming_input,
    prompt_input,
    tokens_input,
)
from parfocal.v1 import inference_service_pb2 as pb
from parfocal.v1.limits import (
    BLEND_PARTS,
    CHAT_MESSAGES,
    CHOICE_TEXTS,
    EMBED_INPUTS,
    LOGIT_BIASES,
    STOP_STRINGS,
    STOP_TOKENS,
    TOOL_CALLS,
    TOOL_CHARACTERS,
    VARIABLES_BYTES,
)

# A partial answer sent exactly at the deadline would arrive after the caller has hung up.
_MARGIN_S = 0.25
_MARGIN_SHARE = 0.1


def read_generate(message: pb.GenerateRequest, own_id: str) -> GenerateCall:
    """What `message` asks for, under `own_id` if the caller gave it no id.

    Raises BadRequest naming the field at fault.
    """
    options = message.options
    call = GenerateCall(
        adapter=message.adapter,
        input=read_input(message),
        prompt=message.prompt,
        sampling=_sampling(message.sampling),
        stop=_stop(message.stop),
        logprobs=options.logprobs,
        top_logprobs=options.top_logprobs,
        echo=options.echo,
        request_id=message.request_id or own_id,
        choices=options.choices if options.HasField("choices") else 1,
        output_format=_output_format(message.output_format) if message.HasField("output_format") else None,
        blend=read_blend(message.blend) if message.blend else (),
        prompt_logprobs=options.prompt_logprobs if options.HasField("prompt_logprobs") else None,
        split_key=message.split_key,
    )
    call.check()
    return call


def read_embed(message: pb.EmbedRequest, own_id: str) -> EmbedCall:
    """What `message` asks for, as in `read_generate`."""
    hold(EMBED_INPUTS, len(message.inputs), "inputs")
    inputs = []
    for place, each in enumerate(message.inputs):
        with naming_input(place):
            inputs.append(read_input(each))
    call = EmbedCall(
        adapter=message.adapter,
        inputs=tuple(inputs),
        pooling=Pooling.MEAN if message.pooling == pb.POOLING_MEAN else Pooling.LAST,
        normalised=message.normalise if message.HasField("normalise") else True,
        request_id=message.request_id or own_id,
        blend=read_blend(message.blend),
        split_key=message.split_key,
    )
    call.check()
    return call


def read_blend(parts: Sequence[pb.BlendPart]) -> Blend:
    """The references and weights."""
    hold(BLEND_PARTS, len(parts), "blend")
    return tuple((each.adapter, each.weight if each.HasField("weight") else 1.0) for each in parts)


def asked_for(message: pb.GenerateRequest | pb.EmbedRequest) -> str:
    """The adapter as the log names it before it is known; empty for the base."""
    return message.adapter or ("blend" if message.blend else "")


def read_input(message: pb.GenerateRequest | pb.TokenizeRequest | pb.EmbedInput) -> Input:
    """The message's prompt, tokens or chat; raises BadRequest."""
    match message.WhichOneof("input"):
        case "prompt":
            return prompt_input(message.prompt)
        case "chat" if not isinstance(message, pb.EmbedInput):
            return _chat(message.chat)
        case "tokens" if not isinstance(message, pb.TokenizeRequest):
            return tokens_input(message.tokens.ids)
    kinds = "a prompt or tokens" if isinstance(message, pb.EmbedInput) else "a prompt, tokens or a chat"
    raise BadRequest(f"the request has no input; give it {kinds}", field="input")


def deadline_after(remaining_s: float | None) -> float | None:
    """When generation must end so that its answer arrives before the caller's deadline.

    `remaining_s` is the caller's time left, None without a deadline; the result is on `time.monotonic()`.
    """
    if remaining_s is None or not math.isfinite(remaining_s):
        return None
    return time.monotonic() + remaining_s - min(_MARGIN_S, _MARGIN_SHARE * max(remaining_s, 0.0))


def _chat(message: pb.Chat) -> Input:
    hold(CHAT_MESSAGES, len(message.messages), "chat.messages")
    hold(VARIABLES_BYTES, message.template_variables.ByteSize(), "chat.template_variables")
    hold(TOOL_CALLS, tool_count(message), "chat.tools")
    hold(TOOL_CHARACTERS, tool_characters(message), "chat.tools")
    if message.HasField("tool_choice"):
        return chat_input(read_chat(message), read_tool_choice(message.tool_choice))
    return chat_input(read_chat(message))


def _sampling(message: pb.Sampling) -> Sampling:
    """An unset field keeps the engine's default: `ListFields` gives only what was set, even to 0."""
    given: dict[str, Any] = {field.name: value for field, value in message.ListFields()}
    if "logit_bias" in given:
        hold(LOGIT_BIASES, len(message.logit_bias), "sampling.logit_bias")
        given["logit_bias"] = dict(message.logit_bias)
    return Sampling(**given)


def _output_format(message: pb.OutputFormat) -> ConstraintSpec:
    match message.WhichOneof("form"):
        case "json_schema":
            return JsonSchema(message.json_schema)
        case "json_object" if message.json_object:
            return JsonObject()
        case "regex":
            return Regex(message.regex)
        case "grammar":
            return Grammar(message.grammar)
        case "choice":
            hold(CHOICE_TEXTS, len(message.choice.texts), "output_format.choice")
            return Choice(tuple(message.choice.texts))
    raise BadRequest(
        "the output_format has no form; give it a json_schema, json_object, regex, grammar or choice",
        field="output_format",
    )


def _stop(message: pb.Stop) -> Stop:
    # Counted before they are copied: millions of ids fit a message, and everybody waits on this loop.
    hold(STOP_STRINGS, len(message.strings), "stop.strings")
    hold(STOP_TOKENS, len(message.token_ids), "stop.token_ids")
    return Stop(
        max_tokens=message.max_tokens if message.HasField("max_tokens") else None,
        min_tokens=message.min_tokens,
        strings=tuple(message.strings),
        token_ids=tuple(message.token_ids),
        ignore_eos=message.ignore_eos,
    )
