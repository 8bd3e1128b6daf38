"""An engine on fake parts, and the checks that must hold between any two of its steps."""

from collections.abc import Callable
from dataclasses import dataclass, field

from fakes.engine.runner import (
    VOCABULARY,
    FakeDevice,
    FakeLoader,
    FakeRunner,
    right_answer,
    right_embedding,
    right_logprobs,
)
from parfocal.engine import (
    AdapterKey,
    Completion,
    Delta,
    FinishReason,
    Observer,
    Request,
    SilentObserver,
    Stop,
)
from parfocal.engine.adapters.host_tier import HostTier
from parfocal.engine.adapters.residency import SlotResidency, Tiers
from parfocal.engine.adapters.slots import SlotTable
from parfocal.engine.engine import Engine
from parfocal.engine.inbox import Inbox
from parfocal.engine.live import LiveRequest
from parfocal.engine.owner import Owner
from parfocal.engine.parts import Parts, PlanRunner
from parfocal.engine.scheduling.admission import Admission
from parfocal.engine.scheduling.blocks import BlockPool
from parfocal.engine.scheduling.limits import Limits
from parfocal.engine.scheduling.scheduler import Scheduler
from parfocal.engine.stopwatch import Stopwatch

CONTEXT = 64


class NumberText:
    """Text of a fake token stream: the ids with commas; stops after one of the `ends`, such as "7,"."""

    def __init__(self, ends: tuple[str, ...] = ()) -> None:
        self.text = ""
        self.stopped = ""
        self._ends = ends

    def push(self, token_ids: list[int], *, may_stop: bool = True) -> str:
        """Returns the ids' text."""
        new = "".join(f"{token}," for token in token_ids)
        self.text += new
        if may_stop:
            self.stopped = next((end for end in self._ends if self.text.endswith(end)), self.stopped)
        return new

    def finish(self) -> str:
        """Returns nothing: nothing was held back."""
        return ""


@dataclass
class World:
    """A small engine with everything it stands on in reach of a test."""

    slots: int = 2
    blocks: int = 24
    block_tokens: int = 4
    max_requests: int = 4
    max_batch_tokens: int = 12
    max_skips: int = 3
    max_waiting: int = 100
    host_bytes: int = 3000
    prefetches: int = 2
    observer: Observer = field(default_factory=SilentObserver)
    eos_ids: frozenset[int] = frozenset()
    prefix_cache: bool = True
    overlaps: bool = False
    runner_type: type[FakeRunner] = FakeRunner
    close: Callable[[], None] = lambda: None
    text: Callable[[tuple[str, ...]], NumberText] = NumberText
    completions: dict[str, Completion] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)
    requests: dict[str, Request] = field(default_factory=dict)
    lives: dict[str, LiveRequest] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        device, inbox = self.new_device(), Inbox()
        self.runner = self.runner_type(device, self.block_tokens)
        self.runner.overlaps = self.overlaps
        self.loader = FakeLoader(device, inbox.post)
        self.table = SlotTable(self.slots)
        self.pool = BlockPool(self.blocks, self.block_tokens)
        self.host = HostTier(self.host_bytes)
        tiers = Tiers(self.table, self.host, self.prefetches)
        self.owner, self.watch = Owner(), Stopwatch()
        self.residency = residency = SlotResidency(tiers, self.loader, self.observer, self.owner)
        limits = Limits(
            self.max_requests, self.max_batch_tokens, self.max_skips, self.eos_ids, self.prefix_cache
        )
        self.scheduler = Scheduler(limits, self.pool, residency)
        self.engine = Engine(
            Parts(
                scheduler=self.scheduler,
                runner=self.new_runner(),
                residency=residency,
                pool=self.pool,
                admission=Admission(CONTEXT, self.blocks * self.block_tokens, VOCABULARY),
                inbox=inbox,
                observer=self.observer,
                text=self.text,  # type: ignore[arg-type]
                close=self.close,
                owner=self.owner,
                watch=self.watch,
                max_waiting=self.max_waiting,
            )
        )

    def new_device(self) -> FakeDevice:
        """Returns what the runner computes on and the loader copies to."""
        return FakeDevice()

    def new_runner(self) -> PlanRunner:
        """Returns what computes the plans."""
        return self.runner

    def submit(self, prompt: tuple[int, ...], digest: str = "", tokens: int = 5, **options: object) -> str:
        """Submits a request and returns its id."""
        name = f"q{len(self.requests)}"
        adapter = AdapterKey(digest) if digest else None
        request = Request(name, prompt, adapter, stop=Stop(max_tokens=tokens), **options)  # type: ignore[arg-type]
        self.requests[name] = request
        self.lives[name] = self.engine.submit(request, lambda item: self._take(name, item))
        return name

    def cancel(self, name: str) -> None:
        """Gives a request up."""
        self.engine.cancel(self.lives[name])

    def _take(self, name: str, item: Delta | Exception) -> None:
        # Noted and not raised: the engine goes on without a caller who fails.
        if name in self.completions or name in self.errors:
            self.faults.append(f"{name} got an item after its end")
        if isinstance(item, Exception):
            self.errors[name] = item
        elif item.completion is not None:
            self.completions[name] = item.completion

    def finish_loads(self) -> bool:
        """Ends every load and prefetch that is under way well; returns False if there was none."""
        loading, reading = tuple(self.loader.pending), tuple(self.loader.prefetching)
        for adapter in loading:
            self.loader.succeed(adapter)
        for adapter in reading:
            self.loader.read(adapter)
        return bool(loading or reading)

    def settle(self, rounds: int = 2000) -> None:
        """Ends every load well and steps until nothing is left to do."""
        for _ in range(rounds):
            came = self.finish_loads()
            if not self.engine.step() and not came and not self.engine.live:
                return
        raise AssertionError("the engine does not come to rest")

    def answer(self, name: str) -> list[int]:
        """Returns the right answer to a request."""
        request = self.requests[name]
        digest = request.adapter.digest if request.adapter else ""
        return right_answer(request.prompt_ids, digest, request.stop.max_tokens or 0)

    def check_outputs(self, name: str) -> None:
        """Raises unless a completion has of its prompt what was asked for, or the beginning if it was cut."""
        request, done = self.requests[name], self.completions[name]
        fault = wrong_outputs(request, done)
        assert not fault, f"{name}: {fault}"

    def check_invariants(self) -> None:
        """Raises if a block, slot or pin is lost, doubled or held by nobody, or a caller is told too much."""
        assert not self.faults
        holders = [*self.scheduler, *self.scheduler.leaving]
        held = [block for sequence in holders for block in sequence.blocks]
        references = {block: held.count(block) for block in set(held)}
        assert self.pool.free == self.pool.total - len(references)
        for slot in self.table:
            pins = sum(1 for sequence in holders if sequence.slot is slot)
            assert slot.pins == pins, f"{slot} has {slot.pins} pins, but {pins} requests hold it"
        assert len(self.table) <= self.slots
        assert sum(entry.content.size_bytes for entry in self.host) == self.host.size_bytes <= self.host_bytes
        assert len(self.loader.prefetching) <= self.prefetches
        assert all(s.slot is not None for s in self.scheduler.running if s.request.adapter)
        assert len(self.scheduler.running) <= self.max_requests

    def check_rest(self) -> None:
        """Raises if anything is still held although nothing runs."""
        self.check_invariants()
        assert not self.scheduler.leaving
        assert self.pool.free == self.pool.total
        assert all(slot.pins == 0 for slot in self.table)
        assert set(self.completions) | set(self.errors) == set(self.requests), "a request was lost"


def wrong_outputs(request: Request, done: Completion) -> str:
    """Returns what is wrong with what a request was told of its prompt; empty if nothing."""
    digest = request.adapter.digest if request.adapter else ""
    told, top = list(done.prompt_logprobs), request.prompt_logprobs
    right = [] if top is None else right_logprobs(request.prompt_ids, digest, top)
    is_cut = done.finish_reason in (FinishReason.CANCELLED, FinishReason.DEADLINE)
    if told != (right[: len(told)] if is_cut else right):
        return f"the prompt's log-probabilities are {told} instead of {right}"
    pooling = request.pooling
    normalised = request.normalised
    right_one = right_embedding(request.prompt_ids, digest, pooling, normalised=normalised) if pooling else ()
    if tuple(done.embedding) not in (right_one, () if is_cut else right_one):
        return f"the embedding is {done.embedding} instead of {right_one}"
    return ""
