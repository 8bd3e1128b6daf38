"""Checks a request against what the engine can hold, before anything is queued.

Each fault names its field.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.engine.errors import InvalidRequest, PromptTooLong, RequestTooLarge
from parfocal.engine.request import Request, Sampling, Stop

MAX_TOP_LOGPROBS = 20


@dataclass(frozen=True, slots=True)
class Admission:
    """The bounds that every request must fit; lengths in tokens."""

    context_tokens: int
    cache_tokens: int
    vocabulary: int

    def check(self, request: Request) -> None:
        """Raises InvalidRequest, PromptTooLong or RequestTooLarge; returns if the request can run."""
        self._check_prompt(request)
        _check_sampling(request.sampling)
        self._check_stop(request.stop)
        if not 0 <= request.top_logprobs <= MAX_TOP_LOGPROBS:
            raise _out_of_range("options.top_logprobs", request.top_logprobs, f"0 to {MAX_TOP_LOGPROBS}")
        if request.constraint is not None and request.constraint.vocabulary != self.vocabulary:
            raise InvalidRequest(
                f"the constraint was compiled for {request.constraint.vocabulary} tokens, but the base has "
                f"{self.vocabulary}; compile it for this base",
                field="output_format",
            )

    def max_tokens(self, request: Request) -> int:
        """How many tokens the request may generate: what it asked for, cut where no more fit."""
        room = min(self.context_tokens, self.cache_tokens) - len(request.prompt_ids)
        return room if request.stop.max_tokens is None else min(room, request.stop.max_tokens)

    def _check_prompt(self, request: Request) -> None:
        ids = request.prompt_ids
        if not ids:
            raise InvalidRequest("the prompt is empty; send at least one token", field="prompt")
        if len(ids) >= self.context_tokens:
            raise PromptTooLong(
                f"the prompt has {len(ids)} tokens, but the context holds {self.context_tokens} including "
                f"at least one new token; shorten the prompt to {self.context_tokens - 1} tokens",
                field="prompt",
            )
        if len(ids) >= self.cache_tokens:
            raise RequestTooLarge(
                f"the prompt has {len(ids)} tokens, but the server's KV cache holds {self.cache_tokens}; "
                "shorten the prompt or give the server a larger cache",
                field="prompt",
            )
        self._check_tokens(ids, "tokens.ids")

    def _check_stop(self, stop: Stop) -> None:
        if stop.max_tokens is not None and stop.max_tokens < 1:
            raise _out_of_range("stop.max_tokens", stop.max_tokens, "at least 1")
        if stop.min_tokens < 0 or (stop.max_tokens is not None and stop.min_tokens > stop.max_tokens):
            raise _out_of_range("stop.min_tokens", stop.min_tokens, "from 0 to max_tokens")
        if "" in stop.strings:
            raise InvalidRequest("a stop string is empty; leave it out", field="stop.strings")
        self._check_tokens(stop.token_ids, "stop.token_ids")

    def _check_tokens(self, ids: Sequence[int], field: str) -> None:
        # There may be a quarter of a million, while others wait: never looked at one by one.
        for token in (min(ids), max(ids)) if ids else ():
            if not 0 <= token < self.vocabulary:
                raise _out_of_range(f"{field}[{ids.index(token)}]", token, f"0 to {self.vocabulary - 1}")


def _check_sampling(sampling: Sampling) -> None:
    ranges = (
        ("temperature", sampling.temperature, 0.0, 100.0),
        ("top_p", sampling.top_p, 0.0, 1.0),
        ("min_p", sampling.min_p, 0.0, 1.0),
        ("repetition_penalty", sampling.repetition_penalty, 0.01, 100.0),
        ("presence_penalty", sampling.presence_penalty, -2.0, 2.0),
        ("frequency_penalty", sampling.frequency_penalty, -2.0, 2.0),
    )
    for name, value, low, high in ranges:
        if not (math.isfinite(value) and low <= value <= high):
            raise _out_of_range(f"sampling.{name}", value, f"{low:g} to {high:g}")
    if sampling.top_p == 0.0:
        raise _out_of_range("sampling.top_p", sampling.top_p, "above 0, up to 1")
    if sampling.top_k < 0:
        raise _out_of_range("sampling.top_k", sampling.top_k, "0 (no limit) or more")


def _out_of_range(field: str, value: float, allowed: str) -> InvalidRequest:
    return InvalidRequest(f"{field} is {value}; it must be {allowed}", field=field)
