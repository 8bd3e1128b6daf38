"""Rows and texts as requests to the engine, and its replies as scores. Loads nothing."""

import math
from collections.abc import Sequence

from parfocal.engine import AdapterKey, Completion, FinishReason, Request, Stop, TokenLogprob
from parfocal.training.data import MASKED, Sample
from parfocal.training.figures import RowScore, Written

TOP = 20  # what the engine tells at most
_MARGIN_TOKENS = 16


def scoring(ids: Sequence[int], adapter: AdapterKey | None, top: int = 1) -> Request:
    """Asks for the log-probability of every token, and of the likeliest at its place."""
    return Request("", tuple(ids), adapter, stop=Stop(max_tokens=0), prompt_logprobs=top)


def writing(prompt: Sequence[int], adapter: AdapterKey | None, most: int) -> Request:
    """Asks for the likeliest answer, of at most so many tokens."""
    return Request("", tuple(prompt), adapter, stop=Stop(max_tokens=most))


def room_for(samples: Sequence[Sample]) -> int:
    """How many tokens an answer may have: half as many again as the longest true one."""
    longest = max(sample.learnt for sample in samples)
    return longest + max(_MARGIN_TOKENS, longest // 2)


def learnt_places(sample: Sample) -> list[int]:
    """Where the learnt tokens of a row are; nothing predicts the first."""
    return [at for at, label in enumerate(sample.labels) if at and label != MASKED]


def row_score(reply: Completion, places: Sequence[int]) -> RowScore:
    """The score of the tokens at some places of a prompt."""
    told = [_told(reply, at) for at in places]
    return RowScore(tuple(one.logprob for one in told), tuple(one.token_id == one.top[0][0] for one in told))


def written(reply: Completion) -> Written:
    """What was written, and whether it ended by itself."""
    stopped = reply.finish_reason is FinishReason.STOP
    return Written(reply.text, len(reply.token_ids), reply.prompt_tokens, stopped)


def divergence(reply: Completion, of_base: Completion) -> float:
    """The mean KL divergence of an adapter's next-token distributions from the base's, in nats, or more.

    Both tell only their likeliest tokens: those that both name are compared one by one, all others as one.
    That never exceeds the true divergence (data processing inequality: Cover and Thomas 2006, 2.8).
    """
    places = range(1, len(reply.prompt_logprobs))
    return sum(_divergence(_told(reply, at), _told(of_base, at)) for at in places) / len(places)


def _divergence(mine: TokenLogprob, base: TokenLogprob) -> float:
    # A token counts as named also where it was told only because the text has it.
    first, second = ({**dict(one.top), one.token_id: one.logprob} for one in (mine, base))
    shared = first.keys() & second.keys()
    total = sum(math.exp(first[token]) * (first[token] - second[token]) for token in shared)
    rest, base_rest = (1 - sum(math.exp(one[token]) for token in shared) for one in (first, second))
    if rest > 0 and base_rest > 0:
        total += rest * math.log(rest / base_rest)
    return max(total, 0.0)


def _told(reply: Completion, at: int) -> TokenLogprob:
    told = reply.prompt_logprobs[at]
    if told is None:
        raise ValueError(f"the engine told nothing of token {at} of {len(reply.prompt_logprobs)}")
    return told
