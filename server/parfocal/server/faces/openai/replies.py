"""OpenAI's replies, as plain objects: completions, chunks of them, log-probabilities, usage. No routes."""

import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from parfocal.engine import AdapterKey, Completion, Delta, FinishReason, TokenLogprob
from parfocal.server.requests import CallReader, Said, ToolCall, ToolUse

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
    created: int = field(default_factory=lambda: int(time.time()))

    def begin(self, kind: str = "") -> Json:
        """The fields before the choices."""
        return {
            "id": self.id,
            "object": kind or self.kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }

    @property
    def fingerprint(self) -> str:
        """What computed the answer: only where it is equal can equal seeds be expected to answer alike."""
        if self.adapter is None:
            return self.base_digest[:_DIGEST_SHOWN]
        return f"{self.adapter.name}@{self.adapter.version}+{self.adapter.digest[:_DIGEST_SHOWN]}"

    def headers(self) -> dict[str, str]:
        """What the model's name meant when the request was admitted."""
        if self.adapter is None:
            return {"x-parfocal-adapter": "", "x-parfocal-digest": self.base_digest}
        return {
            "x-parfocal-adapter": f"{self.adapter.name}@{self.adapter.version}",
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
    """Writes one prompt's completions and their chunks; `places` counts each choice's characters so far."""

    token_text: TokenText
    with_logprobs: bool
    echo: str = ""
    places: dict[int, int] = field(default_factory=dict)

    def choice(self, number: int, completion: Completion) -> Json:
        """A whole answer."""
        self.places.pop(number, None)
        return {
            "index": number,
            "text": self.echo + completion.text,
            "logprobs": self._logprobs(number, completion.logprobs),
            "finish_reason": finish_reason(completion),
        }

    def first(self, number: int) -> Json | None:
        """The chunk that repeats the prompt, if that was asked for."""
        if not self.echo:
            return None
        return {"index": number, "text": self.echo, "logprobs": None, "finish_reason": None}

    def chunks(self, number: int, delta: Delta) -> Iterator[Json]:
        """What a piece of an answer says, and with the last piece how it ended."""
        if delta.text or (self.with_logprobs and delta.logprobs):
            logprobs = self._logprobs(number, delta.logprobs)
            yield {"index": number, "text": delta.text, "logprobs": logprobs, "finish_reason": None}
        if delta.completion is not None:
            ended = finish_reason(delta.completion)
            yield {"index": number, "text": "", "logprobs": None, "finish_reason": ended}

    def _logprobs(self, number: int, logprobs: Sequence[TokenLogprob]) -> Json | None:
        if not self.with_logprobs:
            return None
        texts = [self.token_text(each.token_id) for each in logprobs]
        offsets = []
        place = self.places.get(number, len(self.echo))
        for text in texts:
            offsets.append(place)
            place += len(text)
        self.places[number] = place
        return {
            "tokens": texts,
            "token_logprobs": [each.logprob for each in logprobs],
            "top_logprobs": [
                {self.token_text(token_id): logprob for token_id, logprob in each.top} for each in logprobs
            ],
            "text_offset": offsets,
        }


def _call(call: ToolCall) -> Json:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{uuid.uuid4().hex[:24]}", "type": "function", "function": function}
