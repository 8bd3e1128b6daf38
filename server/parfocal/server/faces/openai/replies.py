"""OpenAI's replies, as plain objects: completions, chunks of them, log-probabilities, usage. No routes."""

import base64
import sys
import time
import uuid
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from parfocal.engine import AdapterKey, Completion, Delta, FinishReason, TokenLogprob
from parfocal.server.faces.openai.text_logprobs import TextLogprobs
from parfocal.server.requests import CallReader, Said, ToolCall, ToolUse, shown

Json = dict[str, Any]
TokenText = Callable[[int], str]

# A text in which a token is only a part of a character.
_BROKEN = "\ufffd"
_DIGEST_SHOWN = 19


@dataclass(frozen=True, slots=True)
class Head:
    """What every reply and chunk of one request begins with."""

    id: str
    kind: str
    model: str
    adapter: AdapterKey | None
    base_digest: str
    warnings: tuple[str, ...] = ()
    created: int = field(default_factory=lambda: int(time.time()))

    def begin(self, kind: str = "") -> Json:
        """The fields before the choices."""
        return {
            "id": self.id,
            "object": kind or self.kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            **({"warnings": self.warnings} if self.warnings else {}),
        }

    @property
    def fingerprint(self) -> str:
        """What computed the answer: only where it is equal can equal seeds be expected to answer alike."""
        if self.adapter is None:
            return self.base_digest[:_DIGEST_SHOWN]
        name = "blend" if self.adapter.parts else shown(self.adapter)
        return f"{name}+{self.adapter.digest[:_DIGEST_SHOWN]}"

    def headers(self) -> dict[str, str]:
        """What the model's name meant when the request was admitted."""
        if self.adapter is None:
            return {"x-parfocal-adapter": "", "x-parfocal-digest": self.base_digest}
        return {
            "x-parfocal-adapter": shown(self.adapter),
            "x-parfocal-digest": self.adapter.digest,
        }


def finish_reason(completion: Completion) -> str:
    """OpenAI knows two ways for a text to end; what an operator cut off counts as too long."""
    ended = (FinishReason.STOP, FinishReason.STOP_STRING)
    return "stop" if completion.finish_reason in ended else "length"


def usage(groups: Iterable[Sequence[Completion]]) -> Json:
    """The tokens of all choices of all prompts; each prompt counts once, however many choices it has."""
    groups = list(groups)
    prompt = sum(group[0].prompt_tokens for group in groups)
    cached = sum(group[0].cached_tokens for group in groups)
    answer = sum(len(each.token_ids) for group in groups for each in group)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": prompt + answer,
        "prompt_tokens_details": {"cached_tokens": cached},
    }


@dataclass(frozen=True, slots=True)
class ChatReplies:
    """Writes one request's chat completions, or their chunks. `tools` tells how answers call tools."""

    token_text: TokenText
    with_logprobs: bool
    tools: ToolUse | None = None
    readers: dict[int, CallReader] = field(default_factory=dict)
    called: Counter[int] = field(default_factory=Counter)

    def choice(self, number: int, completion: Completion) -> Json:
        """A whole answer."""
        said = Said(completion.text) if self.tools is None else self.tools.read(completion.text)
        message: Json = {"role": "assistant", "content": said.content or None, "refusal": None}
        if said.calls:
            message["tool_calls"] = [_call(each) for each in said.calls]
        else:
            message["content"] = said.content
        return {
            "index": number,
            "message": message,
            "logprobs": self._logprobs(completion.logprobs),
            "finish_reason": "tool_calls" if said.calls else finish_reason(completion),
        }

    def first(self, number: int) -> Json:
        """The chunk that opens an answer."""
        return self._chunk(number, {"role": "assistant", "content": "", "refusal": None})

    def chunks(self, number: int, delta: Delta) -> Iterator[Json]:
        """What a piece of an answer says, and with the last piece how it ended."""
        said = self._said(number, delta)
        if said.content or (self.with_logprobs and delta.logprobs):
            chunk = self._chunk(number, {"content": said.content})
            yield {**chunk, "logprobs": self._logprobs(delta.logprobs)}
        for call in said.calls:
            yield self._chunk(number, {"tool_calls": [{"index": self.called[number], **_call(call)}]})
            self.called[number] += 1
        if delta.completion is not None:
            ended = "tool_calls" if self.called[number] else finish_reason(delta.completion)
            yield {**self._chunk(number, {}), "finish_reason": ended}

    def _said(self, number: int, delta: Delta) -> Said:
        if self.tools is None:
            return Said(delta.text)
        reader = self.readers.setdefault(number, self.tools.reader())
        said = reader.push(delta.text)
        if delta.completion is None:
            return said
        rest = reader.finish()
        return Said(said.content + rest.content, said.calls + rest.calls)

    def _chunk(self, number: int, delta: Json) -> Json:
        return {"index": number, "delta": delta, "logprobs": None, "finish_reason": None}

    def _logprobs(self, logprobs: Iterable[TokenLogprob]) -> Json | None:
        if not self.with_logprobs:
            return None
        return {"content": [self._token(each) for each in logprobs], "refusal": None}

    def _token(self, each: TokenLogprob) -> Json:
        top = [self._likely(token_id, logprob) for token_id, logprob in each.top]
        return {**self._likely(each.token_id, each.logprob), "top_logprobs": top}

    def _likely(self, token_id: int, logprob: float) -> Json:
        text = self.token_text(token_id)
        spelt = None if _BROKEN in text else list(text.encode())
        return {"token": text, "logprob": logprob, "bytes": spelt}


@dataclass(slots=True)
class TextReplies:
    """Writes one prompt's completions and their chunks.

    `echo` is the prompt, where answers begin with it; its tokens' log-probabilities come with them if they
    were asked for. `logprobs` is None where no log-probabilities are wanted.
    """

    logprobs: TextLogprobs | None
    echo: str = ""
    reads_prompt: bool = False

    def choice(self, number: int, completion: Completion) -> Json:
        """A whole answer."""
        logprobs = None
        if self.logprobs is not None:
            logprobs = self.logprobs.written(number, completion.prompt_logprobs, completion.logprobs)
        return self._choice(number, self.echo + completion.text, logprobs, finish_reason(completion))

    def first(self, number: int) -> Json | None:
        """The chunk that repeats the prompt, if that was asked for and nothing must be told of it."""
        return self._choice(number, self.echo, None, None) if self.echo and not self.reads_prompt else None

    def chunks(self, number: int, delta: Delta) -> Iterator[Json]:
        """What a piece of an answer says, and with the last piece how it ended."""
        text = self.echo + delta.text if delta.prompt_logprobs else delta.text
        told = bool(delta.prompt_logprobs or delta.logprobs) and self.logprobs is not None
        if text or told:
            logprobs = None
            if self.logprobs is not None:
                logprobs = self.logprobs.written(number, delta.prompt_logprobs, delta.logprobs)
            yield self._choice(number, text, logprobs, None)
        if delta.completion is not None:
            yield self._choice(number, "", None, finish_reason(delta.completion))

    def _choice(self, number: int, text: str, logprobs: Json | None, ended: str | None) -> Json:
        return {"index": number, "text": text, "logprobs": logprobs, "finish_reason": ended}


def embeddings(model: str, completions: Sequence[Completion], in_base64: bool) -> Json:
    """The reply to a request for embeddings."""
    tokens = sum(each.prompt_tokens for each in completions)
    return {
        "object": "list",
        "data": [
            {
                "object": "embedding",
                "index": place,
                "embedding": _base64(each.embedding) if in_base64 else list(each.embedding),
            }
            for place, each in enumerate(completions)
        ],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def _base64(vector: Sequence[float]) -> str:
    """As OpenAI's clients ask for it: 32-bit floats, the low byte first."""
    numbers = array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
