"""One request while the engine works on it: the state that only the scheduler writes.

And what plans say of it: its row, and the one that follows while that one's token is not known.
"""

import time
from array import array
from collections.abc import Sequence as Many
from dataclasses import dataclass, field, replace

from parfocal.engine.adapters import Slot
from parfocal.engine.constraints import ConstraintState
from parfocal.engine.request import FinishReason, Request, Timings, TokenLogprob
from parfocal.engine.scheduling.blocks import BlockHash, chain_next, chain_seed
from parfocal.engine.scheduling.plan import LogitBias, PlanRow, SamplingRow
from parfocal.engine.scheduling.prompt_outputs import PromptOutputs

# Stands for a token that only the device knows.
_UNSEEN = (0,)


@dataclass(slots=True)
class Clock:
    """Instants of a request's life, in `time.monotonic()` seconds."""

    arrived: float
    slot_missing_since: float | None = None
    load_seconds: float = 0.0
    started: float | None = None
    first_token: float | None = None
    ended: float | None = None

    def timings(self) -> Timings:
        """The phases' lengths; a phase that was not reached lasts 0 seconds."""
        end = self.ended if self.ended is not None else time.monotonic()
        started = self.started if self.started is not None else end
        first = self.first_token if self.first_token is not None else end
        prefill = first - started if self.started is not None else 0.0
        return Timings(started - self.arrived, self.load_seconds, prefill, max(0.0, end - first))


@dataclass(slots=True, eq=False)
class Sequence:
    """A request, its tokens so far, and what it holds: blocks of KV cache and a pin on a slot.

    `constraint` has accepted all tokens but one that only ends the answer, which `ends_in_stop_token` tells.
    `distinct` are the prompt's tokens, once each, from when a penalty first reads them. `promised` are the
    blocks that it is about to compute, which others may wait for; `awaited` is one that another request
    computes and this one waits for. `ahead` counts the plans made ahead that compute it: the device may be in
    its blocks and its adapter, also once it is over.
    """

    request: Request
    max_tokens: int
    draw_seed: int
    clock: Clock
    output_ids: list[int] = field(default_factory=list)
    logprobs: list[TokenLogprob] = field(default_factory=list)
    computed: int = 0
    blocks: list[int] = field(default_factory=list)
    names: list[BlockHash] = field(default_factory=list)
    slot: Slot | None = None
    skips: int = 0
    looked_up: bool = False
    cached_tokens: int | None = None
    promised: Many[BlockHash] = ()
    awaited: BlockHash | None = None
    outputs: PromptOutputs | None = None
    finish_reason: FinishReason | None = None
    constraint: ConstraintState | None = None
    bias: LogitBias | None = None
    distinct: "array[int] | None" = None
    ends_in_stop_token: bool = False
    ahead: int = 0

    @property
    def digest(self) -> str:
        """The adapter's digest, empty for the base."""
        return self.request.adapter.digest if self.request.adapter else ""

    @property
    def reusable(self) -> int:
        """How many of its first tokens may come from the prefix cache. The last one's outputs are needed."""
        most = self.length - 1
        return most if self.outputs is None else self.outputs.reusable(most)

    @property
    def is_over(self) -> bool:
        """Whether it has ended and holds nothing any more."""
        return self.clock.ended is not None

    @property
    def length(self) -> int:
        """How many tokens are known: prompt and output."""
        return len(self.request.prompt_ids) + len(self.output_ids)

    @property
    def uncomputed(self) -> int:
        """How many known tokens have no KV yet; 1 while decoding."""
        return self.length - self.computed

    def tokens(self, start: int, end: int) -> tuple[int, ...]:
        """The known tokens at the positions `start` to `end` (exclusive)."""
        prompt = self.request.prompt_ids
        if end <= len(prompt):
            return prompt[start:end]
        if start >= len(prompt):
            return tuple(self.output_ids[start - len(prompt) : end - len(prompt)])
        return prompt[start:] + tuple(self.output_ids[: end - len(prompt)])

    def block_names(self, count: int, block_tokens: int) -> list[BlockHash]:
        """The names of the first `count` blocks; all their tokens are known."""
        while len(self.names) < count:
            parent = self.names[-1] if self.names else chain_seed(self.digest)
            start = len(self.names) * block_tokens
            self.names.append(chain_next(parent, self.tokens(start, start + block_tokens)))
        return self.names[:count]


def row_of(sequence: Sequence, tokens: int, eos_ids: frozenset[int]) -> PlanRow:
    """The row that computes a sequence's next `tokens` known tokens."""
    end = sequence.computed + tokens
    draws = end == sequence.length and sequence.max_tokens > 0
    return PlanRow(
        request_id=sequence.request.request_id,
        token_ids=sequence.tokens(sequence.computed, end),
        start=sequence.computed,
        blocks=tuple(sequence.blocks),
        place=sequence.slot.place if sequence.slot else None,
        sampling=_sampling(sequence, len(sequence.output_ids), eos_ids) if draws else None,
        reading=sequence.outputs.reading(sequence.computed, end) if sequence.outputs else None,
    )


def can_follow(row: PlanRow) -> bool:
    """Whether what follows a row may be computed before its result is known."""
    return row.sampling is not None and row.sampling.follows_unseen and row.reading is None


def row_ahead(sequence: Sequence, at: int, last: PlanRow, eos_ids: frozenset[int]) -> PlanRow:
    """The row after `last`, the last plan's at `at`, which draws a token that is not known yet."""
    return replace(
        last,
        token_ids=_UNSEEN,
        start=last.end,
        blocks=tuple(sequence.blocks),
        sampling=_sampling(sequence, len(sequence.output_ids) + 1, eos_ids),
        follows=at,
    )


def ending_ids(sequence: Sequence, eos_ids: frozenset[int]) -> frozenset[int]:
    """The tokens that end an answer."""
    stop = sequence.request.stop
    return frozenset(stop.token_ids) | (frozenset() if stop.ignore_eos else eos_ids)


def _sampling(sequence: Sequence, generated: int, eos_ids: frozenset[int]) -> SamplingRow:
    """What the draw of the token after `generated` ones needs."""
    request = sequence.request
    return SamplingRow(
        sampling=request.sampling,
        position=generated,
        prompt_ids=_seen(sequence),
        output_ids=sequence.output_ids,
        banned_ids=tuple(_banned_ids(sequence, generated, eos_ids)),
        logprobs=request.logprobs,
        top_logprobs=request.top_logprobs,
        draw_seed=sequence.draw_seed,
        constraint=sequence.constraint,
        bias=sequence.bias,
    )


def _seen(sequence: Sequence) -> Many[int]:
    """The distinct tokens of the prompt, if a penalty reads them. A long prompt is gone through once."""
    if sequence.request.sampling.repetition_penalty == 1.0:
        return ()
    if sequence.distinct is None:
        sequence.distinct = array("q", sorted(set(sequence.request.prompt_ids)))
    return sequence.distinct


def _banned_ids(sequence: Sequence, generated: int, eos_ids: frozenset[int]) -> frozenset[int]:
    stop = sequence.request.stop
    banned = ending_ids(sequence, eos_ids) if generated < stop.min_tokens else frozenset()
    # An end token has no place inside, and outside nothing follows.
    return banned | eos_ids if sequence.constraint is not None and stop.ignore_eos else banned
