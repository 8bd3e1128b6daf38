"""An answer and its pieces."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from parfocal.client.errors import ClientError, client_error
from parfocal.client.tool_call import ToolCall
from parfocal.rpc import told_error
from parfocal.v1 import inference_service_pb2 as pb


class FinishReason(StrEnum):
    """Why an answer ended: a token, `max_tokens` or the context, a stop string, the caller, the deadline."""

    STOP = "stop"
    LENGTH = "length"
    STOP_STRING = "stop_string"
    CANCELLED = "cancelled"
    DEADLINE = "deadline"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class TopLogprob:
    """One of the likeliest tokens at a place, with its natural-log probability."""

    token_id: int
    text: str
    logprob: float


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token with its natural-log probability in the model's own distribution; `top` the likeliest first."""

    token_id: int
    text: str
    logprob: float
    top: tuple[TopLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Usage:
    """How many tokens a request used; of the prompt's, `cached_tokens` were not computed again."""

    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class ResolvedAdapter:
    """What an adapter reference meant when the request was admitted.

    Of a blend, `parts` are its adapters with their weights, and the digest is that of all of them together.
    """

    name: str
    version: int
    digest: str
    parts: tuple[tuple["ResolvedAdapter", float], ...] = ()

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


@dataclass(frozen=True, slots=True)
class Timings:
    """Where a request's time went, in seconds; `load_s` is the part of `queue_s` that the adapter took."""

    queue_s: float
    load_s: float
    prefill_s: float
    decode_s: float


@dataclass(frozen=True, slots=True)
class Choice:
    """One of several answers to the same request."""

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    stop_string: str
    logprobs: tuple[TokenLogprob, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. `adapter` is None where the base answered; `warnings` are sentences.

    `choices` are all answers where more than one was asked for; the others' fields are then the first one's,
    and `usage` counts all. `incomplete` says that it ended before it had the form that was asked for.
    """

    text: str
    token_ids: tuple[int, ...]
    finish_reason: FinishReason
    stop_string: str
    usage: Usage
    adapter: ResolvedAdapter | None
    timings: Timings
    request_id: str
    logprobs: tuple[TokenLogprob, ...] = ()
    warnings: tuple[str, ...] = ()
    choices: tuple[Choice, ...] = ()
    prompt_logprobs: tuple[TokenLogprob, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    incomplete: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer; the last one has the whole `answer`. `text` is never half a character.

    `choice` is the number of the answer that it belongs to, from 0, and `finish_reason` why that one ended,
    with its last piece.
    """

    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[TokenLogprob, ...] = ()
    answer: Answer | None = None
    choice: int = 0
    finish_reason: FinishReason | None = None
    prompt_logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Embeddings:
    """Vectors, one for each input in their order, and how many tokens each was made of."""

    vectors: tuple[tuple[float, ...], ...]
    prompt_tokens: tuple[int, ...]
    usage: Usage
    adapter: ResolvedAdapter | None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Token ids, and each token as text in the same order."""

    ids: tuple[int, ...]
    texts: tuple[str, ...]


def read_answer(message: pb.GenerateResponse) -> Answer:
    """The message as a value."""
    usage, times = message.usage, message.timings
    return Answer(
        text=message.text,
        token_ids=tuple(message.token_ids),
        finish_reason=_reason(message.finish_reason),
        stop_string=message.stop_string,
        usage=Usage(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens),
        adapter=read_resolved(message.adapter) if message.HasField("adapter") else None,
        timings=Timings(
            *(each.ToNanoseconds() / 1e9 for each in (times.queue, times.load, times.prefill, times.decode))
        ),
        request_id=message.request_id,
        logprobs=_logprobs(message.logprobs),
        warnings=tuple(message.warnings),
        choices=tuple(_choice(each) for each in message.choices),
        prompt_logprobs=_logprobs(message.prompt_logprobs),
        tool_calls=_calls(message.tool_calls),
        incomplete=message.incomplete,
    )


def read_delta(message: pb.GenerateStreamResponse) -> Delta:
    """The message as a value."""
    answer = read_answer(message.final) if message.HasField("final") else None
    return Delta(
        text=message.delta_text,
        token_ids=tuple(message.delta_token_ids),
        logprobs=_logprobs(message.delta_logprobs),
        answer=answer,
        choice=message.choice,
        finish_reason=_reason(message.finish_reason) if message.finish_reason else None,
        prompt_logprobs=_logprobs(message.prompt_logprobs),
    )


def read_results(message: pb.GenerateBatchResponse) -> tuple[Answer | ClientError, ...]:
    """What became of each request of a batch."""
    return tuple(
        read_answer(each.response) if each.HasField("response") else client_error(told_error(each.error))
        for each in message.results
    )


def read_embeddings(message: pb.EmbedResponse) -> Embeddings:
    """The message as a value."""
    usage = message.usage
    return Embeddings(
        vectors=tuple(tuple(each.values) for each in message.embeddings),
        prompt_tokens=tuple(each.prompt_tokens for each in message.embeddings),
        usage=Usage(usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens),
        adapter=read_resolved(message.adapter) if message.HasField("adapter") else None,
    )


def read_tokens(message: pb.TokenizeResponse) -> Tokens:
    """The message as a value."""
    return Tokens(tuple(message.token_ids), tuple(message.texts))


def read_resolved(message: pb.ResolvedAdapter) -> ResolvedAdapter:
    """The message as a value."""
    parts = tuple((read_resolved(each.adapter), each.weight) for each in message.parts)
    return ResolvedAdapter(message.name, message.version, message.digest, parts)


def _choice(message: pb.AnswerChoice) -> Choice:
    return Choice(
        text=message.text,
        token_ids=tuple(message.token_ids),
        finish_reason=_reason(message.finish_reason),
        stop_string=message.stop_string,
        logprobs=_logprobs(message.logprobs),
        tool_calls=_calls(message.tool_calls),
        incomplete=message.incomplete,
    )


def _calls(messages: Iterable[pb.ToolCall]) -> tuple[ToolCall, ...]:
    return tuple(ToolCall(each.name, each.arguments, each.id) for each in messages)


def _logprobs(messages: Iterable[pb.TokenLogprob]) -> tuple[TokenLogprob, ...]:
    return tuple(
        TokenLogprob(
            each.token_id,
            each.text,
            each.logprob,
            tuple(TopLogprob(top.token_id, top.text, top.logprob) for top in each.top),
        )
        for each in messages
    )


def _reason(value: int) -> FinishReason:
    """A newer server may have reasons that this client does not know."""
    found = pb.FinishReason.DESCRIPTOR.values_by_number.get(value)
    word = "" if found is None else found.name.removeprefix("FINISH_REASON_").lower()
    return FinishReason(word) if word in set(FinishReason) else FinishReason.UNKNOWN
