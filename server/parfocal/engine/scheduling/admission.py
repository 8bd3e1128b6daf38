"""Checks a request against what the engine can hold, before anything is queued.

Each fault names its field.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from parfocal.engine.errors import InvalidRequest, PromptTooLong, RequestTooLarge
from parfocal.engine.request import Request, Sampling

MAX_TOP_LOGPROBS = 20
MAX_LOGIT_BIASES = 1024
MOST_BIAS = 100.0


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
        self._check_bias(request.sampling)
        self._check_stop(request)
        for name, value in (
            ("top_logprobs", request.top_logprobs),
            ("prompt_logprobs", request.prompt_logprobs or 0),
        ):
            most = min(MAX_TOP_LOGPROBS, self.vocabulary)
            if not 0 <= value <= most:
                raise _out_of_range(f"options.{name}", value, f"0 to {most}")
        if request.constraint is not None and request.constraint.vocabulary != self.vocabulary:
            raise InvalidRequest(
                f"the constraint was compiled for {request.constraint.vocabulary} tokens, but the base has "
                f"{self.vocabulary}; compile it for this base",
                field="output_format",
            )

    def max_tokens(self, request: Request) -> int:
        """How many tokens the request may generate: what it asked for, cut where no more fit."""
        if request.pooling is not None:
            return 0
        room = min(self.context_tokens, self.cache_tokens) - len(request.prompt_ids)
        return room if request.stop.max_tokens is None else min(room, request.stop.max_tokens)

    def _check_prompt(self, request: Request) -> None:
        ids = request.prompt_ids
        if not ids:
            raise InvalidRequest("the prompt is empty; send at least one token", field="prompt")
        new = 1 if _generates(request) else 0
        if len(ids) + new > self.context_tokens:
            including = " including at least one new token" if new else ""
            raise PromptTooLong(
                f"the prompt has {len(ids)} tokens, but the context holds {self.context_tokens}{including}; "
                f"shorten the prompt to {self.context_tokens - new} tokens",
                field="prompt",
            )
        if len(ids) + new > self.cache_tokens:
            raise RequestTooLarge(
                f"the prompt has {len(ids)} tokens, but the server's KV cache holds {self.cache_tokens}; "
                "shorten the prompt or give the server a larger cache",
                field="prompt",
            )
        self._check_tokens(ids, "tokens.ids")

    def _check_stop(self, request: Request) -> None:
        stop = request.stop
        if request.pooling is not None and stop.max_tokens:
            raise _out_of_range(
                "stop.max_tokens", stop.max_tokens, "0 or left out: an embedding has no answer"
            )
        if stop.max_tokens is not None and stop.max_tokens < _fewest(request):
            others = "" if _fewest(request) == 0 else "; 0 is for requests with prompt_logprobs"
            raise _out_of_range("stop.max_tokens", stop.max_tokens, f"at least {_fewest(request)}{others}")
        if stop.min_tokens < 0 or (stop.max_tokens is not None and stop.min_tokens > stop.max_tokens):
            raise _out_of_range("stop.min_tokens", stop.min_tokens, "from 0 to max_tokens")
        if "" in stop.strings:
            raise InvalidRequest("a stop string is empty; leave it out", field="stop.strings")
        self._check_tokens(stop.token_ids, "stop.token_ids")

    def _check_bias(self, sampling: Sampling) -> None:
        bias = sampling.logit_bias
        if not bias:
            return
        if len(bias) > MAX_LOGIT_BIASES:
            raise InvalidRequest(
                f"sampling.logit_bias has {len(bias)} tokens; at most {MAX_LOGIT_BIASES} are accepted",
                field="sampling.logit_bias",
            )
        for token, value in bias.items():
            field = f"sampling.logit_bias[{token}]"
            if not 0 <= token < self.vocabulary:
                raise InvalidRequest(
                    f"{field} is for no token; ids are 0 to {self.vocabulary - 1}",
                    field="sampling.logit_bias",
                )
            if not (math.isfinite(value) and abs(value) <= MOST_BIAS):
                raise InvalidRequest(
                    f"{field} is {value}; it must be {-MOST_BIAS:g} to {MOST_BIAS:g}",
                    field="sampling.logit_bias",
                )

    def _check_tokens(self, ids: Sequence[int], field: str) -> None:
        # There may be a quarter of a million, while others wait: never looked at one by one.
        for token in (min(ids), max(ids)) if ids else ():
            if not 0 <= token < self.vocabulary:
                raise _out_of_range(f"{field}[{ids.index(token)}]", token, f"0 to {self.vocabulary - 1}")


def _generates(request: Request) -> bool:
    return request.pooling is None and request.stop.max_tokens != 0


def _fewest(request: Request) -> int:
    """The fewest tokens that it makes sense to ask for."""
    return 1 if request.prompt_logprobs is None and request.pooling is None else 0


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
