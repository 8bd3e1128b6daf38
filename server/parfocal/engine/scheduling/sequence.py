"""One request while the engine works on it: the state that only the scheduler writes."""

import time
from collections.abc import Sequence as Many
from dataclasses import dataclass, field

from parfocal.engine.adapters import Slot
from parfocal.engine.constraints import ConstraintState
from parfocal.engine.request import FinishReason, Request, Timings, TokenLogprob
from parfocal.engine.scheduling.blocks import BlockHash, chain_next, chain_seed
from parfocal.engine.scheduling.plan import LogitBias
from parfocal.engine.scheduling.prompt_outputs import PromptOutputs


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
    `promised` are the blocks that it is about to compute, which others may wait for; `awaited` is one that
    another request computes and this one waits for.
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
    ends_in_stop_token: bool = False

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
