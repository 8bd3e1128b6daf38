"""Decides what each step computes, and is the only writer of request state.

Pure Python: no torch, no clock but the one given.

One rule covers prefill, chunked prefill, decode and recomputation: a request computes those of its known
tokens that have no KV yet, as many as the step's budget leaves. (The rule is vLLM v1's, stated in its
scheduler.)
"""

import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from collections.abc import Sequence as Many
from dataclasses import dataclass, field
from itertools import islice

from parfocal.engine.adapters import SlotState
from parfocal.engine.request import FinishReason, TokenLogprob
from parfocal.engine.scheduling.blocks import BlockPool
from parfocal.engine.scheduling.limits import Limits, Residency
from parfocal.engine.scheduling.plan import Plan, PlanRow, PromptRead, SamplingRow
from parfocal.engine.scheduling.promises import Promises
from parfocal.engine.scheduling.sequence import Sequence
from parfocal.engine.scheduling.turns import Turns

_NOTHING: Mapping[PlanRow, PromptRead] = {}


@dataclass(slots=True)
class _Draft:
    """A plan in the making: the token budget left, and how much each request computes."""

    budget: int
    shares: dict[Sequence, int] = field(default_factory=dict)

    def add(self, sequence: Sequence, tokens: int) -> None:
        self.shares[sequence] = tokens
        self.budget -= tokens


class Scheduler:
    """Queues and running requests. `schedule` makes a plan, `commit` applies its result."""

    def __init__(
        self,
        limits: Limits,
        pool: BlockPool,
        residency: Residency,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self._pool = pool
        self._residency = residency
        self._now = now
        self._turns = Turns(limits.max_skips)
        self._promises = Promises()
        self._planned: dict[PlanRow, Sequence] = {}

    def add(self, sequence: Sequence) -> None:
        """Queues a new request behind the others."""
        self.waiting.append(sequence)

    def __iter__(self) -> Iterator[Sequence]:
        yield from self.running
        yield from self.waiting

    def schedule(self) -> Plan:
        """Returns the next step's work: decoding rows first, then unfinished prompts, then new requests."""
        draft = _Draft(self.limits.max_batch_tokens)
        for sequence in sorted(self.running, key=lambda s: s.uncomputed > 1):
            self._continue(sequence, draft)
        self._admit(draft)
        self._planned = {self._row(sequence, tokens): sequence for sequence, tokens in draft.shares.items()}
        return Plan(tuple(self._planned))

    def planned(self, row: PlanRow) -> Sequence | None:
        """Returns the sequence that a row of the last plan computes; None if it has ended since."""
        sequence = self._planned.get(row)
        return None if sequence is None or sequence.is_over else sequence

    def commit(
        self,
        plan: Plan,
        drawn: Many[tuple[int, TokenLogprob | None] | None],
        read: Mapping[PlanRow, PromptRead] = _NOTHING,
    ) -> list[Sequence]:
        """Applies a plan's result, one (token, logprob) or None for each row, and what was `read` of prompts.

        Returns who got a token, and who is done without one. A request that ends has its `finish_reason` set
        and releases everything.
        """
        advanced = []
        for row, token in zip(plan.rows, drawn, strict=True):
            sequence = self.planned(row)
            if sequence is None:
                continue
            named = sequence.computed // self._pool.block_tokens
            sequence.computed += len(row.token_ids)
            self._name_blocks(sequence, named)
            if sequence.outputs is not None and row.reading is not None:
                sequence.outputs.add(row.start, row.reading, read[row])
            if token is not None:
                self._append(sequence, *token)
                advanced.append(sequence)
            elif sequence.max_tokens == 0 and sequence.uncomputed == 0:
                self.finish(sequence, FinishReason.LENGTH)
                advanced.append(sequence)
        return advanced

    def finish(self, sequence: Sequence, reason: FinishReason | None) -> None:
        """Ends a request in any state and frees all it holds; None means that it ends in an error."""
        sequence.finish_reason = reason
        sequence.clock.ended = self._now()
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        self._give_back(sequence)

    def _continue(self, sequence: Sequence, draft: _Draft) -> None:
        tokens = min(sequence.uncomputed, draft.budget)
        if tokens == 0 or sequence not in self.running:
            return
        missing = self._blocks_for(sequence.computed + tokens) - len(sequence.blocks)
        while not self._pool.can_take((), missing):
            victim = next((s for s in reversed(self.running) if s not in draft.shares), None)
            if victim is None or (victim is sequence and len(self.running) == 1):
                return
            self._preempt(victim)
            if victim is sequence:
                return
        sequence.blocks += self._pool.take(missing)
        draft.add(sequence, tokens)

    def _admit(self, draft: _Draft) -> None:
        waiting = self._lookahead()
        if self._turns.closed or any(sequence.skips >= self.limits.max_skips for sequence in waiting):
            self._turns.plan(waiting, self.running)
        passed: list[Sequence] = []
        memory_left = True
        for sequence in waiting:
            if not self._has_slot(sequence):
                passed.append(sequence)
                continue
            room = draft.budget > 0 and len(self.running) < self.limits.max_requests and memory_left
            if not room or not self._adapter_ready(sequence):
                continue
            found = None if self._is_awaiting(sequence) else self._cached_prefix(sequence)
            if found is None:
                continue
            memory_left = self._start(sequence, found, draft)
            if not passed or not memory_left or sequence.slot is None:
                continue
            if self._turns.pass_over(passed, sequence.slot):
                self._turns.plan(waiting, self.running)
        self._residency.want([s.request.adapter for s in passed if s.request.adapter])

    def _lookahead(self) -> list[Sequence]:
        """Looks only at requests that could run soon, so that a long queue costs a step nothing.

        Requests pushed past the lookahead release their pins.
        """
        most = 2 * self.limits.max_requests
        seen = list(islice(self.waiting, 2 * most))
        for sequence in seen[most:]:
            self._unpin(sequence)
        return seen[:most]

    def _has_slot(self, sequence: Sequence) -> bool:
        adapter = sequence.request.adapter
        if adapter is None:
            return True
        is_held_back = sequence in self._turns.held_back
        if is_held_back or (sequence.slot is not None and sequence.slot.is_lost):
            self._unpin(sequence)
        # One that found no room tries again at once: nothing else might wake an idle engine for it.
        if sequence.slot is None and not is_held_back:
            sequence.slot = self._residency.reserve(adapter, again=sequence.looked_up)
            sequence.looked_up = True
        return sequence.slot is not None

    def _adapter_ready(self, sequence: Sequence) -> bool:
        if sequence.slot is None or sequence.slot.state is SlotState.READY:
            since, sequence.clock.slot_missing_since = sequence.clock.slot_missing_since, None
            if since is not None:
                sequence.clock.load_seconds += self._now() - since
            return True
        if sequence.clock.slot_missing_since is None:
            sequence.clock.slot_missing_since = self._now()
        return False

    def _start(self, sequence: Sequence, found: list[int], draft: _Draft) -> bool:
        cached = len(found) * self._pool.block_tokens
        tokens = min(sequence.length - cached, draft.budget)
        missing = self._blocks_for(cached + tokens) - len(found)
        if not self._pool.can_take(found, missing):
            return False
        self._pool.share(found)
        sequence.blocks = found + self._pool.take(missing)
        sequence.computed = cached
        if sequence.cached_tokens is None:
            sequence.cached_tokens = min(cached, len(sequence.request.prompt_ids))
        if sequence.clock.started is None:
            sequence.clock.started = self._now()
        self.waiting.remove(sequence)
        self.running.append(sequence)
        draft.add(sequence, tokens)
        if self.limits.prefix_cache:
            whole = sequence.block_names(sequence.length // self._pool.block_tokens, self._pool.block_tokens)
            if new := whole[len(found) :]:
                self._promises.make(sequence, new)
        return True

    def _is_awaiting(self, sequence: Sequence) -> bool:
        """Whether another request still computes what this one waits for."""
        name = sequence.awaited
        return name is not None and name in self._promises and name not in self._pool

    def _cached_prefix(self, sequence: Sequence) -> list[int] | None:
        """The blocks that need not be computed; None if another request is computing more of them.

        Leaves the tokens to compute whose outputs the request needs, the last one at least.
        """
        if not self.limits.prefix_cache:
            return []
        whole_blocks = sequence.reusable // self._pool.block_tokens
        names = sequence.block_names(whole_blocks, self._pool.block_tokens)
        found = self._pool.find(names)
        missing = names[len(found) :]
        sequence.awaited = self._promises.coming(missing) if missing else None
        return found if sequence.awaited is None else None

    def _preempt(self, sequence: Sequence) -> None:
        """Moves a running request back to the queue's head; its tokens stay, its KV is recomputed."""
        self.running.remove(sequence)
        self._give_back(sequence)
        sequence.computed = 0
        self.waiting.appendleft(sequence)

    def _row(self, sequence: Sequence, tokens: int) -> PlanRow:
        end = sequence.computed + tokens
        return PlanRow(
            request_id=sequence.request.request_id,
            token_ids=sequence.tokens(sequence.computed, end),
            start=sequence.computed,
            blocks=tuple(sequence.blocks),
            place=sequence.slot.place if sequence.slot else None,
            sampling=self._sampling(sequence) if end == sequence.length and sequence.max_tokens else None,
            reading=sequence.outputs.reading(sequence.computed, end) if sequence.outputs else None,
        )

    def _sampling(self, sequence: Sequence) -> SamplingRow:
        request, generated = sequence.request, len(sequence.output_ids)
        return SamplingRow(
            sampling=request.sampling,
            position=generated,
            prompt_ids=request.prompt_ids,
            output_ids=sequence.output_ids,
            banned_ids=tuple(self._banned_ids(sequence)),
            logprobs=request.logprobs,
            top_logprobs=request.top_logprobs,
            draw_seed=sequence.draw_seed,
            constraint=sequence.constraint,
            bias=sequence.bias,
        )

    def _banned_ids(self, sequence: Sequence) -> frozenset[int]:
        stop = sequence.request.stop
        too_early = len(sequence.output_ids) < stop.min_tokens
        banned = self._ending_ids(sequence) if too_early else frozenset()
        # An end token has no place inside, and outside nothing follows.
        return banned | self.limits.eos_ids if sequence.constraint is not None and stop.ignore_eos else banned

    def _ending_ids(self, sequence: Sequence) -> frozenset[int]:
        stop = sequence.request.stop
        return frozenset(stop.token_ids) | (frozenset() if stop.ignore_eos else self.limits.eos_ids)

    def _append(self, sequence: Sequence, token: int, logprob: TokenLogprob | None) -> None:
        if sequence.clock.first_token is None:
            sequence.clock.first_token = self._now()
        sequence.output_ids.append(token)
        if logprob is not None:
            sequence.logprobs.append(logprob)
        if token in self._ending_ids(sequence):
            sequence.ends_in_stop_token = True
            self.finish(sequence, FinishReason.STOP)
        elif _completes(sequence, token):
            self.finish(sequence, FinishReason.STOP)
        elif len(sequence.output_ids) >= sequence.max_tokens:
            self.finish(sequence, FinishReason.LENGTH)

    def _name_blocks(self, sequence: Sequence, named: int) -> None:
        full = sequence.computed // self._pool.block_tokens
        if not self.limits.prefix_cache or full == named:
            return
        names = sequence.block_names(full, self._pool.block_tokens)
        for block, name in zip(sequence.blocks[named:full], names[named:], strict=True):
            self._pool.name(block, name)
        if sequence.promised and names[-1] == sequence.promised[-1]:
            self._promises.end(sequence)

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._pool.block_tokens)

    def _give_back(self, sequence: Sequence) -> None:
        if sequence.promised:
            self._promises.end(sequence)
        self._pool.release(sequence.blocks)
        sequence.blocks = []
        self._unpin(sequence)

    def _unpin(self, sequence: Sequence) -> None:
        if sequence.slot is not None:
            slot, sequence.slot = sequence.slot, None
            self._residency.release(slot)


def _completes(sequence: Sequence, token: int) -> bool:
    """Whether a token completes what the sequence's constraint asks for, having accepted it."""
    if sequence.constraint is None:
        return False
    sequence.constraint.accept(token)
    return sequence.constraint.is_complete
