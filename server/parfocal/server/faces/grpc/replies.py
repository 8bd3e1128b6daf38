"""Writes the engine's results as messages. Knows neither rpcs nor the engine's queue."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from google.protobuf.duration_pb2 import Duration

from parfocal.engine import AdapterKey, Completion, Delta, FinishReason, Timings, TokenLogprob
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

    `warnings` are sentences for the caller.
    """

    token_text: TokenText
    echo: str = ""
    warnings: tuple[str, ...] = ()

    def delta(self, delta: Delta, is_first: bool) -> pb.GenerateStreamResponse:
        """A stream's next message; the last one has `final`."""
        return pb.GenerateStreamResponse(
            delta_text=self.echo + delta.text if is_first else delta.text,
            delta_token_ids=delta.token_ids,
            delta_logprobs=self._logprobs(delta.logprobs),
            final=None if delta.completion is None else self.completion(delta.completion),
        )

    def completion(self, completion: Completion) -> pb.GenerateResponse:
        """The whole result."""
        return pb.GenerateResponse(
            text=self.echo + completion.text,
            token_ids=completion.token_ids,
            finish_reason=_FINISH_REASONS[completion.finish_reason],
            stop_string=completion.stop_string,
            logprobs=self._logprobs(completion.logprobs),
            usage=pb.Usage(
                prompt_tokens=completion.prompt_tokens,
                cached_tokens=completion.cached_tokens,
                completion_tokens=len(completion.token_ids),
            ),
            adapter=_adapter(completion.adapter),
            timings=_timings(completion.timings),
            request_id=completion.request_id,
            warnings=self.warnings,
        )

    def _logprobs(self, logprobs: Iterable[TokenLogprob]) -> list[pb.TokenLogprob]:
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


def _adapter(adapter: AdapterKey | None) -> pb.ResolvedAdapter | None:
    if adapter is None:
        return None
    return pb.ResolvedAdapter(name=adapter.name, version=adapter.version, digest=adapter.digest)


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
