"""From OpenAI's bodies to calls: the same values that a gRPC message becomes. Knows no route and no reply."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from parfocal.engine import Pooling, Sampling, Stop
from parfocal.engine.chats import Chat, Message, Value, check_variables
from parfocal.engine.constraints import Choice, ConstraintSpec, Grammar, JsonObject, JsonSchema, Regex
from parfocal.server.errors import BadRequest
from parfocal.server.faces.openai.schemas import (
    BlendPart,
    ChatBody,
    ChatMessage,
    CompletionBody,
    ContentPart,
    DetokenizeBody,
    Drawing,
    EmbeddingBody,
    NamedTool,
    ResponseFormat,
    TokenizeBody,
    Tool,
    ToolCall,
)
from parfocal.server.requests import (
    AUTO,
    Blend,
    EmbedCall,
    GenerateCall,
    Input,
    ToolChoice,
    chat_input,
    hold,
    json_object,
    naming_input,
    prompt_input,
    tokens_input,
)
from parfocal.v1.limits import (
    BATCH_REQUESTS,
    CHAT_MESSAGES,
    CHOICE_TEXTS,
    EMBED_INPUTS,
    LOGIT_BIASES,
    PROMPT_TOKENS,
    TOOL_CALLS,
    TOOL_CHARACTERS,
    VARIABLES_BYTES,
)

ROLES = ("system", "user", "assistant", "tool")
# What OpenAI's API takes where nothing is said; our own wire's default is greedy.
_TEMPERATURE = 1.0
_COMPLETION_TOKENS = 16


def read_chat_call(body: ChatBody, adapter: str, request_id: str) -> GenerateCall:
    """What a chat completion asks for; raises BadRequest."""
    if body.max_tokens is not None and body.max_completion_tokens is not None:
        raise BadRequest(
            "max_tokens and max_completion_tokens mean the same; give one of them",
            field="max_completion_tokens",
        )
    most = body.max_completion_tokens if body.max_tokens is None else body.max_tokens
    call = GenerateCall(
        adapter=adapter,
        input=chat_of(body.messages, body.tools, body.chat_template_kwargs, _tool_choice(body)),
        prompt="",
        sampling=_sampling(body),
        stop=_stop(body, most),
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs or 0,
        echo=False,
        request_id=request_id,
        choices=1 if body.n is None else body.n,
        output_format=_output_format(body.response_format),
        blend=_blend(body.blend),
        split_key=body.user or "",
    )
    call.check()
    return call


def read_completion_calls(body: CompletionBody, adapter: str, request_id: str) -> list[GenerateCall]:
    """What a completion asks for: a call for each of its prompts; raises BadRequest."""
    if body.best_of not in (None, 1, body.n):
        raise BadRequest(
            f"best_of is {body.best_of}; only n itself is served, so leave it out", field="best_of"
        )
    if body.max_tokens == 0 and not body.echo:
        raise BadRequest("max_tokens is 0, which needs echo; set both, or ask for tokens", field="max_tokens")
    prompts = _prompts(body)
    if not prompts:
        raise BadRequest("there is no prompt; give at least one", field="prompt")
    hold(BATCH_REQUESTS, len(prompts), "prompt")
    most = _COMPLETION_TOKENS if body.max_tokens is None else body.max_tokens
    # With echo, log-probabilities are the prompt's too; and the engine generates nothing only for their sake.
    reads_prompt = body.echo and (body.logprobs is not None or most == 0)
    calls = [
        GenerateCall(
            adapter=adapter,
            input=given,
            prompt=text,
            sampling=_sampling(body),
            stop=_stop(body, most),
            logprobs=body.logprobs is not None,
            top_logprobs=body.logprobs or 0,
            echo=bool(body.echo),
            request_id=request_id if len(prompts) == 1 else f"{request_id}/prompt-{place}",
            choices=1 if body.n is None else body.n,
            output_format=_output_format(body.response_format),
            blend=_blend(body.blend),
            split_key=body.user or "",
            prompt_logprobs=(body.logprobs or 0) if reads_prompt else None,
        )
        for place, (given, text) in enumerate(prompts)
    ]
    for call in calls:
        call.check()
    return calls


def _output_format(given: ResponseFormat | None) -> ConstraintSpec | None:
    if given is None or given.type == "text":
        return None
    match given.type:
        case "json_object":
            return JsonObject()
        case "json_schema" if given.json_schema is not None and given.json_schema.schema_ is not None:
            return JsonSchema(json.dumps(given.json_schema.schema_))
        case "regex" if given.pattern is not None:
            return Regex(given.pattern)
        case "grammar" if given.grammar is not None:
            return Grammar(given.grammar)
        case "choice" if given.choices is not None:
            hold(CHOICE_TEXTS, len(given.choices), "response_format.choices")
            return Choice(tuple(given.choices))
    needed = {"json_schema": "json_schema.schema", "regex": "pattern", "choice": "choices"}
    raise BadRequest(
        f"response_format of type {given.type} needs {needed.get(given.type, given.type)}; give it",
        field="response_format",
    )


def read_embed_call(body: EmbeddingBody, adapter: str, request_id: str) -> EmbedCall:
    """What a request for embeddings asks for; raises BadRequest."""
    given = listed(body.input)
    hold(EMBED_INPUTS, len(given), "inputs")
    inputs = []
    for place, each in enumerate(given):
        with naming_input(place):
            inputs.append(prompt_input(each) if isinstance(each, str) else tokens_input(each))
    call = EmbedCall(
        adapter=adapter,
        inputs=tuple(inputs),
        pooling=Pooling.MEAN if body.pooling == "mean" else Pooling.LAST,
        normalised=body.normalise is not False,
        request_id=request_id,
        blend=_blend(body.blend),
        split_key=body.user or "",
    )
    call.check()
    return call


def _blend(parts: Sequence[BlendPart] | None) -> Blend:
    return tuple((each.model, each.weight) for each in parts or ())


def _tool_choice(body: ChatBody) -> ToolChoice:
    choice, single = body.tool_choice, body.parallel_tool_calls is False
    if isinstance(choice, NamedTool):
        return ToolChoice(required=True, name=choice.function.name, single=single)
    return ToolChoice(allowed=choice != "none", required=choice == "required", single=single)


def tokenize_input(body: TokenizeBody) -> Input:
    """What to turn into tokens; raises BadRequest."""
    if (body.prompt is None) == (body.messages is None):
        raise BadRequest("give either a prompt or messages", field="prompt")
    if body.messages is not None:
        return chat_of(body.messages, body.tools, body.chat_template_kwargs)
    text = body.prompt or ""
    if body.add_special_tokens:
        return Input("raw", lambda encoder, manner: encoder.prompt(text))
    return Input("raw", lambda encoder, manner: encoder.plain(text))


def checked_tokens(body: DetokenizeBody, vocabulary_size: int) -> list[int]:
    """The token ids; raises BadRequest."""
    ids = body.tokens
    hold(PROMPT_TOKENS, len(ids), "tokens")
    wrong = next((each for each in ids and (min(ids), max(ids)) if not 0 <= each < vocabulary_size), None)
    if wrong is not None:
        last = vocabulary_size - 1
        raise BadRequest(f"tokens has {wrong}; the vocabulary has ids from 0 to {last}", field="tokens")
    return ids


def chat_of(
    messages: Sequence[ChatMessage],
    tools: Sequence[Tool] | None,
    variables: Mapping[str, Any] | None,
    choice: ToolChoice = AUTO,
) -> Input:
    """A chat as templates read it; raises BadRequest, or InvalidRequest for a variable's name."""
    hold(CHAT_MESSAGES, len(messages), "messages")
    calls = [call for message in messages for call in message.tool_calls or ()]
    hold(TOOL_CALLS, len(tools or ()) + len(calls), "tools")
    told = [tool.model_dump(exclude_unset=True) for tool in tools or ()]
    characters = sum(len(json.dumps(tool)) for tool in told)
    hold(TOOL_CHARACTERS, characters + sum(len(call.function.arguments) for call in calls), "tools")
    variables = variables or {}
    hold(VARIABLES_BYTES, len(json.dumps(variables)) if variables else 0, "chat_template_kwargs")
    check_variables(variables, "chat_template_kwargs")
    read = tuple(_message(message, f"messages[{place}]") for place, message in enumerate(messages))
    return chat_input(Chat(read, variables, tuple(told)), choice)


def _message(message: ChatMessage, field: str) -> Message:
    role = "system" if message.role == "developer" else message.role
    if role not in ROLES:
        raise BadRequest(
            f"role {message.role[:40]!r} is unknown; it must be one of {', '.join(ROLES)}",
            field=f"{field}.role",
        )
    if message.tool_calls and role != "assistant":
        raise BadRequest(
            f"a message of role {role!r} has tool_calls; only an assistant calls tools",
            field=f"{field}.tool_calls",
        )
    read: dict[str, Value] = {"role": role, "content": _content(message, field)}
    if message.tool_calls:
        read["tool_calls"] = [
            _call(call, f"{field}.tool_calls[{place}]") for place, call in enumerate(message.tool_calls)
        ]
    for name in ("tool_call_id", "name", "reasoning_content"):
        if text := getattr(message, name):
            read[name] = text
    return read


def _content(message: ChatMessage, field: str) -> str:
    if message.content is None and not message.tool_calls:
        raise BadRequest("the message has no content; give it a text", field=f"{field}.content")
    if isinstance(message.content, list):
        return "".join(_text(part, f"{field}.content[{place}]") for place, part in enumerate(message.content))
    return message.content or ""


def _text(part: ContentPart, field: str) -> str:
    if part.type != "text":
        raise BadRequest(
            f"{field} is of type {part.type[:40]!r}; this server reads parts of type 'text' only",
            field=f"{field}.type",
        )
    unknown = [f"{field}.{name[:40]}" for name in part.model_extra or ()]
    if unknown:
        raise BadRequest(f"Unrecognized request argument supplied: {unknown[0]}", field=unknown[0])
    if part.text is None:
        raise BadRequest(f"{field} has no text; give it one", field=f"{field}.text")
    return part.text


def _call(call: ToolCall, field: str) -> Mapping[str, Value]:
    arguments = json_object(call.function.arguments or "{}", f"{field}.function.arguments")
    read: dict[str, Value] = {
        "type": "function",
        "function": {"name": call.function.name, "arguments": arguments},
    }
    return {**read, "id": call.id} if call.id else read


def _prompts(body: CompletionBody) -> list[tuple[Input, str]]:
    """Each prompt, and its text where it is known."""
    return [
        (prompt_input(each), each) if isinstance(each, str) else (tokens_input(each), "")
        for each in listed(body.prompt)
    ]


def listed(given: str | list[str] | list[int] | list[list[int]]) -> list[str | list[int]]:
    """OpenAI's four ways to write one or several inputs, as a list of texts and of token ids."""
    if isinstance(given, str):
        return [given]
    if given and isinstance(given[0], int):
        return [[each for each in given if isinstance(each, int)]]
    return [each for each in given if not isinstance(each, int)]


def _sampling(body: Drawing) -> Sampling:
    temperature = _TEMPERATURE if body.temperature is None else body.temperature
    names = ("top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty", "repetition_penalty", "seed")
    given = {name: value for name in names if (value := getattr(body, name)) is not None}
    if body.logit_bias:
        given["logit_bias"] = _logit_bias(body.logit_bias)
    return Sampling(temperature=temperature, **given)


def _logit_bias(given: Mapping[str, float]) -> dict[int, float]:
    """OpenAI's keys are token ids, but JSON's are texts."""
    hold(LOGIT_BIASES, len(given), "logit_bias")
    wrong = next((key for key in given if not (key.isascii() and key.isdigit() and len(key) < 10)), None)
    if wrong is not None:
        raise BadRequest(f"logit_bias has {wrong[:40]!r}, which is no token id", field="logit_bias")
    return {int(key): value for key, value in given.items()}


def _stop(body: Drawing, max_tokens: int | None) -> Stop:
    strings = [body.stop] if isinstance(body.stop, str) else body.stop or []
    return Stop(
        max_tokens=max_tokens,
        min_tokens=body.min_tokens or 0,
        strings=tuple(strings),
        token_ids=tuple(body.stop_token_ids or ()),
        ignore_eos=bool(body.ignore_eos),
    )
