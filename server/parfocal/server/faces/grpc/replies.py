"""Writes the engine's results as messages. Knows neither rpcs nor the engine's queue."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from parfocal.engine import AdapterKey, Completion, Delta, FinishReason, Timings, TokenLogprob
from parfocal.server.requests import ToolUse, size_of
from parfocal.v1 import inference_service_pb2 as pb

_FINISH_REASONS = {
    FinishReason.STOP: pb.FINISH_REASON_STOP,
    FinishReason.LENGTH: pb.FINISH_REASON_LENGTH,
    FinishReason.STOP_STRING: pb.FINISH_REASON_STOP_STRING,
    FinishReason.CANCELLED: pb.FINISH_REASON_CANCELLED,
    FinishReason.DEADLINE: pb.FINISH_REASON_DEADLINE,
}

TokenText = Callable[[int], str]


@dataclass(frozen=True, slots=True)
class ReplyWriter:
    """Writes one request's replies. `echo` is what stands before the answer: the prompt, or nothing.

    `warnings` are sentences for the caller; `tools` tells how answers call tools.
    """

    token_text: TokenText
    echo: str = ""
    warnings: tuple[str, ...] = ()
    tools: ToolUse | None = None

    def delta(self, delta: Delta, is_first: bool) -> pb.GenerateStreamResponse:
        """A stream's next message, without what only its last one has."""
        return pb.GenerateStreamResponse(
            delta_text=self.echo + delta.text if is_first else delta.text,
            delta_token_ids=delta.token_ids,
            delta_logprobs=self.logprobs(delta.logprobs) if delta.logprobs else (),
            prompt_logprobs=self.prompt_logprobs(delta.prompt_logprobs) if delta.prompt_logprobs else (),
        )

    def response(self, completions: Sequence[Completion]) -> pb.GenerateResponse:
        """The whole result: that of the first choice, and of all of them where there are more."""
        first = completions[0]
        return pb.GenerateResponse(
            text=self.echo + first.text,
            token_ids=first.token_ids,
            finish_reason=_FINISH_REASONS[first.finish_reason],
            stop_string=first.stop_string,
            logprobs=self.logprobs(first.logprobs),
            usage=_usage(completions),
            adapter=resolved_adapter(first.adapter),
            timings=_timings(first.timings),
            request_id=first.request_id.removesuffix("/0") if len(completions) > 1 else first.request_id,
            warnings=self.warnings,
            tool_calls=self._tool_calls(first),
            incomplete=first.constraint_met is False,
            prompt_logprobs=self.prompt_logprobs(first.prompt_logprobs) if first.prompt_logprobs else (),
            choices=map(self._choice, completions) if len(completions) > 1 else (),
        )

    def _choice(self, completion: Completion) -> pb.AnswerChoice:
        return pb.AnswerChoice(
            text=self.echo + completion.text,
            token_ids=completion.token_ids,
            finish_reason=_FINISH_REASONS[completion.finish_reason],
            stop_string=completion.stop_string,
            logprobs=self.logprobs(completion.logprobs),
            tool_calls=self._tool_calls(completion),
            incomplete=completion.constraint_met is False,
        )

    def _tool_calls(self, completion: Completion) -> list[pb.ToolCall]:
        if self.tools is None:
            return []
        calls = self.tools.read(completion.text).calls
        return [pb.ToolCall(name=each.name, arguments=each.arguments) for each in calls]

    def logprobs(self, logprobs: Iterable[TokenLogprob]) -> list[pb.TokenLogprob]:
        """Tokens with their log-probabilities."""
        return [
            pb.TokenLogprob(
                token_id=each.token_id,
                text=self.token_text(each.token_id),
                logprob=each.logprob,
                top=[
                    pb.TopLogprob(token_id=token_id, text=self.token_text(token_id), logprob=logprob)
                    for token_id, logprob in each.top
                ],
            )
            for each in logprobs
        ]

    def prompt_logprobs(self, logprobs: Sequence[TokenLogprob | None]) -> list[pb.TokenLogprob]:
        """Those of a prompt's tokens but the first, which nothing stands before."""
        return self.logprobs(each for each in logprobs if each is not None)


class StreamWriter:
    """Writes the messages of one stream: the last of them has the whole result."""

    def __init__(self, writer: ReplyWriter, choices: int) -> None:
        self._writer = writer
        self._choices = choices
        self._begun: set[int] = set()
        self._ended: dict[int, Completion] = {}

    def size(self, delta: Delta) -> int:
        """How many log-probabilities the message for this delta will tell."""
        if delta.completion is None or len(self._ended) + 1 < self._choices:
            return size_of(delta)
        told: list[Completion | Delta] = [delta, *self._ended.values(), delta.completion]
        return sum(map(size_of, told))

    def delta(self, choice: int, delta: Delta) -> pb.GenerateStreamResponse:
        """The next message."""
        message = self._writer.delta(delta, choice not in self._begun)
        self._begun.add(choice)
        message.choice = choice
        if delta.completion is not None:
            self._ended[choice] = delta.completion
            message.finish_reason = _FINISH_REASONS[delta.completion.finish_reason]
        if len(self._ended) == self._choices:
            completions = [self._ended[number] for number in range(self._choices)]
            message.final.CopyFrom(self._writer.response(completions))
        return message


def embed_response(completions: Sequence[Completion], request_id: str) -> pb.EmbedResponse:
    """The vectors of a request's inputs."""
    return pb.EmbedResponse(
        embeddings=[
            pb.Embedding(values=each.embedding, prompt_tokens=each.prompt_tokens) for each in completions
        ],
        usage=pb.Usage(
            prompt_tokens=sum(each.prompt_tokens for each in completions),
            cached_tokens=sum(each.cached_tokens for each in completions),
        ),
        adapter=resolved_adapter(completions[0].adapter),
        request_id=request_id,
    )


def resolved_adapter(adapter: AdapterKey | None) -> pb.ResolvedAdapter | None:
    """What a reference meant, of a blend with its parts; None for the base."""
    if adapter is None:
        return None
    resolved = pb.ResolvedAdapter(name=adapter.name, version=adapter.version, digest=adapter.digest)
    for part, weight in adapter.parts:
        resolved.parts.add(adapter=resolved_adapter(part), weight=weight)
    return resolved


def _usage(completions: Sequence[Completion]) -> pb.Usage:
    return pb.Usage(
        prompt_tokens=completions[0].prompt_tokens,
        cached_tokens=completions[0].cached_tokens,
        completion_tokens=sum(len(each.token_ids) for each in completions),
    )


def _timings(timings: Timings) -> pb.Timings:
    return pb.Timings(
        queue=_duration(timings.queue),
        load=_duration(timings.load),
        prefill=_duration(timings.prefill),
        decode=_duration(timings.decode),
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromNanoseconds(round(seconds * 1e9))
    return duration
