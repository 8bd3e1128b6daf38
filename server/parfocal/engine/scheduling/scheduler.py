"""Decides what each step computes, and is the only writer of request state.

Pure Python: no torch, no clock but the one given.

A plan may be made ahead, while the device computes the one before it: the same requests, one token on, which
only the device knows by then. Who ends meanwhile is computed in vain, and keeps what it holds until then.

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
from parfocal.engine.scheduling.plan import Plan, PlanRow, PromptRead
from parfocal.engine.scheduling.promises import Promises
from parfocal.engine.scheduling.sequence import Sequence, can_follow, ending_ids, row_ahead, row_of
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
        self.leaving: list[Sequence] = []  # over, and computed by a plan made ahead

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
        shares = draft.shares.items()
        self._planned = {row_of(one, tokens, self.limits.eos_ids): one for one, tokens in shares}
        return Plan(tuple(self._planned))

    def schedule_ahead(self) -> Plan | None:
        """Returns what follows the last plan while its result is not known; None if that must be awaited.

        So it must where a row needs more of it than its own token, where a prompt is not done, where a
        running request was left out for want of room, and where another may begin.
        """
        last = [(at, row, s) for at, (row, s) in enumerate(self._planned.items()) if not s.is_over]
        if len(last) < len(self.running) or not all(can_follow(row) for _, row, _ in last):
            return None
        self._admit(_Draft(0))  # nobody begins, but adapters are fetched for those who wait
        going = [(at, row, s) for at, row, s in last if len(s.output_ids) + 1 < s.max_tokens]
        if not going or (len(going) < self.limits.max_requests and self._is_somebody_ready()):
            return None
        missing = [max(0, self._blocks_for(row.end + 1) - len(s.blocks)) for _, row, s in going]
        if not self._pool.can_take((), sum(missing)):
            return None
        rows: dict[PlanRow, Sequence] = {}
        for (at, row, sequence), count in zip(going, missing, strict=True):
            sequence.blocks += self._pool.take(count)
            sequence.ahead += 1
            rows[row_ahead(sequence, at, row, self.limits.eos_ids)] = sequence
        self._planned |= rows
        return Plan(tuple(rows))

    def abandon(self, plan: Plan) -> None:
        """Forgets a plan made ahead, which the device does not compute (any more)."""
        self._land(plan)
        for row in plan.rows:
            del self._planned[row]

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
        and releases everything, once no plan made ahead computes it.
        """
        self._land(plan)
        advanced = []
        for row, token in zip(plan.rows, drawn, strict=True):
            sequence = self._planned.pop(row, None)
            if sequence is None or sequence.is_over:
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
        """Ends a request in any state and frees all it holds; None means that it ends in an error.

        What a plan made ahead computes is freed when that is committed or abandoned.
        """
        sequence.finish_reason = reason
        sequence.clock.ended = self._now()
        if sequence in self.running:
            self.running.remove(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        if sequence.ahead:
            self.leaving.append(sequence)
        else:
            self._give_back(sequence)

    def _land(self, plan: Plan) -> None:
        """Frees what a plan made ahead kept from being freed: the device has left it."""
        for row in plan.rows:
            if row.follows is not None:
                self._planned[row].ahead -= 1
        for sequence in [s for s in self.leaving if not s.ahead]:
            self.leaving.remove(sequence)
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

    def _is_somebody_ready(self) -> bool:
        """Whether a waiting request could begin in the next step."""
        for sequence in self._lookahead():
            has_adapter = sequence.slot is not None or sequence.request.adapter is None
            if not has_adapter or not self._adapter_ready(sequence) or self._is_awaiting(sequence):
                continue
            found = self._cached_prefix(sequence)
            if found is not None:
                tokens = min(
                    sequence.length, len(found) * self._pool.block_tokens + self.limits.max_batch_tokens
                )
                return self._pool.can_take(found, self._blocks_for(tokens) - len(found))
        return False

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

    def _append(self, sequence: Sequence, token: int, logprob: TokenLogprob | None) -> None:
        if sequence.clock.first_token is None:
            sequence.clock.first_token = self._now()
        sequence.output_ids.append(token)
        if logprob is not None:
            sequence.logprobs.append(logprob)
        if token in ending_ids(sequence, self.limits.eos_ids):
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
