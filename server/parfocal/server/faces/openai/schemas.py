"""The bodies of OpenAI's requests, as far as they are served, and the fields of ours beside them.

What OpenAI knows and this server does not is a field too, so that it can be refused by name; only the values
that change nothing are accepted. Anything else is refused as OpenAI refuses it.
Source: OpenAI's API reference, chat/create and completions/create.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, Strict, StrictBool, StrictInt, StrictStr

# 64 bits, as in the wire's messages. Python's integers have no end, which nobody behind them expects.
Number = Annotated[float, Strict()]
Integer = Annotated[StrictInt, Field(ge=-(1 << 63), lt=1 << 63)]
Tokens = list[Integer]


class Part(BaseModel):
    """A base for every body: unknown fields are refused, numbers are not taken from text."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(Part):
    """What else a stream sends."""

    include_usage: StrictBool | None = None
    include_obfuscation: Literal[False] | None = None
    continuous_usage_stats: Literal[False] | None = None


class BlendPart(Part):
    """One adapter of a blend; the field is ours."""

    model: StrictStr
    weight: Number = 1.0


class Drawing(Part):
    """How tokens are drawn and when an answer ends: the fields that both kinds of completion share."""

    model: StrictStr
    temperature: Number | None = None
    top_p: Number | None = None
    top_k: Integer | None = None
    min_p: Number | None = None
    presence_penalty: Number | None = None
    frequency_penalty: Number | None = None
    repetition_penalty: Number | None = None
    logit_bias: dict[StrictStr, Number] | None = None
    seed: Integer | None = None
    max_tokens: Integer | None = None
    min_tokens: Integer | None = None
    stop: StrictStr | list[StrictStr] | None = None
    stop_token_ids: Tokens | None = None
    ignore_eos: StrictBool | None = None
    n: Integer | None = None
    stream: StrictBool | None = None
    stream_options: StreamOptions | None = None
    user: StrictStr | None = None
    blend: list[BlendPart] | None = None


class ContentPart(BaseModel):
    """A piece of a message's content. Pictures, sound and files are pieces, too: refused by their name."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: StrictStr
    text: StrictStr | None = None


class Function(Part):
    """What a tool call names."""

    name: StrictStr
    arguments: StrictStr = ""
    # OpenAI's client has read the arguments, and sends that back with them.
    parsed_arguments: Any = None


class ToolCall(Part):
    """A tool that an assistant called."""

    id: StrictStr = ""
    type: Literal["function"] = "function"
    function: Function
    index: Integer | None = None


class ChatMessage(Part):
    """One message."""

    role: StrictStr
    content: StrictStr | list[ContentPart] | None = None
    name: StrictStr | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: StrictStr | None = None
    reasoning_content: StrictStr | None = None
    # What an answer of OpenAI's has, so that it can be sent back as it came; `parsed` is their client's.
    refusal: StrictStr | None = None
    parsed: Any = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None


class ToolFunction(BaseModel):
    """What a tool is called, and whatever else its template reads."""

    model_config = ConfigDict(extra="allow", strict=True)

    name: Annotated[StrictStr, Field(min_length=1)]
    parameters: dict[str, Any] | None = None


class Tool(BaseModel):
    """A tool that the model may call; other kinds than functions are OpenAI's own."""

    model_config = ConfigDict(extra="allow", strict=True)

    type: Literal["function"]
    function: ToolFunction


class JsonSchema(Part):
    """A form of an answer: JSON under a schema."""

    name: StrictStr = ""
    description: StrictStr | None = None
    schema_: dict[str, Any] | None = Field(default=None, alias="schema")
    strict: StrictBool | None = None


class ResponseFormat(Part):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema", "regex", "grammar", "choice"]
    json_schema: JsonSchema | None = None
    pattern: StrictStr | None = None
    grammar: StrictStr | None = None
    choices: list[StrictStr] | None = None


class NamedFunction(Part):
    """The tool that must be called."""

    name: StrictStr


class NamedTool(Part):
    """The tool that must be called."""

    type: Literal["function"] = "function"
    function: NamedFunction


class ChatBody(Drawing):
    """POST /v1/chat/completions."""

    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_completion_tokens: Integer | None = None
    logprobs: StrictBool | None = None
    top_logprobs: Integer | None = None
    tools: list[Tool] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: StrictBool | None = None
    response_format: ResponseFormat | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    metadata: dict[str, StrictStr] | None = None
    # What OpenAI knows and nobody here does: only what changes nothing.
    service_tier: Literal["auto", "default"] | None = None
    store: Literal[False] | None = None
    modalities: list[Literal["text"]] | None = None
    prompt_cache_key: StrictStr | None = None
    safety_identifier: StrictStr | None = None
    audio: None = None
    prediction: None = None
    reasoning_effort: None = None
    verbosity: None = None
    web_search_options: None = None
    functions: None = None
    function_call: Literal["none"] | None = None


class CompletionBody(Drawing):
    """POST /v1/completions."""

    prompt: StrictStr | list[StrictStr] | Tokens | list[Tokens]
    echo: StrictBool | None = None
    logprobs: Integer | None = None
    response_format: ResponseFormat | None = None
    best_of: Integer | None = None
    suffix: Literal[""] | None = None


class EmbeddingBody(Part):
    """POST /v1/embeddings."""

    model: StrictStr
    input: StrictStr | list[StrictStr] | Tokens | list[Tokens]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: None = None
    pooling: Literal["last", "mean"] | None = None
    normalise: StrictBool | None = None
    user: StrictStr | None = None
    blend: list[BlendPart] | None = None


class TokenizeBody(Part):
    """POST /tokenize: a text or a chat."""

    model: StrictStr = ""
    prompt: StrictStr | None = None
    messages: list[ChatMessage] | None = None
    tools: list[Tool] | None = None
    chat_template_kwargs: dict[str, Any] | None = None
    add_special_tokens: StrictBool = True


class DetokenizeBody(Part):
    """POST /detokenize."""

    model: StrictStr = ""
    tokens: Tokens
