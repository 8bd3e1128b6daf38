"""An engine without torch.

A runner whose tokens are a function of the prefix and the adapter, and a loader by hand.
"""

import math
import threading
from array import array
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field

from parfocal.engine.adapters.host_tier import Staged
from parfocal.engine.adapters.loads import LoadAdvanced, Loaded, LoadEnded, Prefetched, PrefetchEnded
from parfocal.engine.adapters.slots import Place, SlotState
from parfocal.engine.request import AdapterKey, Pooling, TokenLogprob
from parfocal.engine.scheduling.plan import Plan, PlanRow, PromptRead, Reading, SampledToken

VOCABULARY = 97
TORN = "half written"


def next_token(prefix: tuple[int, ...], digest: str) -> int:
    """Returns the one right token after `prefix` under the adapter with `digest` ("" for the base)."""
    return hash((prefix, tuple(digest.encode()))) % VOCABULARY  # the same in every process


def right_answer(prompt: tuple[int, ...], digest: str, tokens: int) -> list[int]:
    """Returns the `tokens` right tokens after `prompt`."""
    known = prompt
    for _ in range(tokens):
        known += (next_token(known, digest),)
    return list(known[len(prompt) :])


def score(prefix: tuple[int, ...], digest: str, token: int) -> float:
    """Returns the one right log-probability of `token` after `prefix`; float32 holds it exactly."""
    return -(hash((prefix, tuple(digest.encode()), token)) % 1024) / 64


def state(prefix: tuple[int, ...], digest: str) -> list[float]:
    """Returns the one right hidden state of the last token of `prefix`: whole numbers."""
    return [float(hash((prefix, tuple(digest.encode()), axis)) % 257 - 128) for axis in range(3)]


def right_logprobs(prompt: tuple[int, ...], digest: str, top: int) -> list[TokenLogprob | None]:
    """Returns the right entry of each token of a prompt; the `top` likeliest are the first ids."""
    entries: list[TokenLogprob | None] = [None]
    for at, token in enumerate(prompt[1:], start=1):
        likeliest = tuple((one, score(prompt[:at], digest, one)) for one in range(top))
        entries.append(TokenLogprob(token, score(prompt[:at], digest, token), likeliest))
    return entries


def right_embedding(
    prompt: tuple[int, ...], digest: str, pooling: Pooling, *, normalised: bool = True
) -> tuple[float, ...]:
    """Returns a prompt's right embedding."""
    first = 0 if pooling is Pooling.MEAN else len(prompt) - 1
    states = [state(prompt[: at + 1], digest) for at in range(first, len(prompt))]
    pooled = [sum(axis) for axis in zip(*states, strict=True)]
    length = (math.hypot(*pooled) or 1.0) if normalised else float(len(states))
    return tuple(value / length for value in pooled)


def read_prompt(known: tuple[int, ...], start: int, digest: str, reading: Reading) -> PromptRead:
    """Returns what is to be read of a row that begins at `start` and whose tokens are `known` to its end."""
    prefixes = [known[: start + place + 1] for place in range(reading.first, reading.end)]
    scored = list(zip(prefixes, reading.targets, strict=False))
    top = range(reading.top)
    states = [state(prefix, digest) for prefix in prefixes if reading.pooling is not None]
    if reading.pooling is Pooling.LAST:
        states = states[-1:]
    return PromptRead(
        logprobs=array("f", [score(prefix, digest, target) for prefix, target in scored]),
        top_ids=array("i", [one for _ in scored for one in top]),
        top_logprobs=array("f", [score(prefix, digest, one) for prefix, _ in scored for one in top]),
        states=[sum(axis) for axis in zip(*states, strict=True)],
    )


@dataclass
class FakeDevice:
    """What lies where: the adapter in each place, and the token and adapter behind each cached position."""

    places: dict[Place, str] = field(default_factory=dict)
    cache: dict[tuple[int, int], tuple[int, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class FakeStaged:
    """An adapter in host memory that has no weights."""

    digest: str
    rank: int = 8
    size_bytes: int = 1000


class FakeRunner:
    """Answers from the cache alone, so that a wrong block, place or position gives a wrong token.

    Every step raises `failure`, if there is one; `is_device_lost` is what it says of its device.
    """

    def __init__(self, device: FakeDevice, block_tokens: int) -> None:
        self.device = device
        self.block_tokens = block_tokens
        self.poisoned: set[str] = set()
        self.plans: list[Plan] = []
        self.turns: threading.Semaphore | None = None
        self.overlaps = False
        self.after_sending: Callable[[], object] = lambda: None
        self.failure: Exception | None = None
        self.is_device_lost = False
        self.releases = 0

    def run(self, plan: Plan, meanwhile: Callable[[], None]) -> list[SampledToken | None]:
        """Writes every row's tokens to the cache, then reads each row's whole prefix back.

        With `turns` it waits for one of them first; `meanwhile` is called in between.
        """
        if self.turns is not None:
            self.turns.acquire()
        self.plans.append(plan)
        if self.failure is not None:
            raise self.failure
        if any(row.request_id in self.poisoned for row in plan.rows):
            raise RuntimeError("the fake model was told to fail")
        for row in plan.rows:
            self._write(row)
        meanwhile()
        self.after_sending()
        return [self._read(row) if row.sampling or row.reading else None for row in plan.rows]

    @property
    def goes_ahead(self) -> bool:
        """Returns False."""
        return False

    def queue_next(self, plan: Plan) -> bool:
        """Queues nothing."""
        del plan
        return False

    def is_lost(self, error: BaseException) -> bool:
        """Answers as it was told to."""
        return self.is_device_lost

    def release(self) -> None:
        """Counts."""
        self.releases += 1

    def _at(self, row: PlanRow, position: int) -> tuple[int, int]:
        return row.blocks[position // self.block_tokens], position % self.block_tokens

    def _digest(self, row: PlanRow) -> str:
        return self.device.places[row.place] if row.place else ""

    def _write(self, row: PlanRow) -> None:
        assert row.token_ids, "a row computes nothing, so that its logits are another row's"
        for offset, token in enumerate(row.token_ids):
            self.device.cache[self._at(row, row.start + offset)] = (token, self._digest(row))

    def _read(self, row: PlanRow) -> SampledToken:
        digest = self._digest(row)
        cells = [self.device.cache[self._at(row, p)] for p in range(row.start + len(row.token_ids))]
        assert {owner for _, owner in cells} == {digest}, "a row reads KV that another adapter computed"
        known = tuple(token for token, _ in cells)
        read = read_prompt(known, row.start, digest, row.reading) if row.reading else None
        return SampledToken(next_token(known, digest) if row.sampling else -1, read=read)


class FakeLoader:
    """Loads only when told to; `pending` are the adapters under way, `staged` what comes from host memory.

    `copying` are those among them whose place is being written. One that `copies_at_once` need not be told to
    copy what is in host memory; `before_copy` is what others do just before.
    """

    def __init__(
        self, device: FakeDevice, tell: Callable[[LoadAdvanced | LoadEnded | PrefetchEnded], None]
    ) -> None:
        self.device = device
        self.pending: list[AdapterKey] = []
        self.staged: dict[str, FakeStaged] = {}
        self.copying: dict[AdapterKey, Place] = {}
        self.prefetching: list[AdapterKey] = []
        self.copies_at_once = False
        self.before_copy: Callable[[], object] = lambda: None
        self._tell = tell
        self._free: list[Place] = []
        self._made = 0

    def start(self, adapter: AdapterKey, staged: Staged | None) -> None:
        """Remembers the adapter."""
        self.pending.append(adapter)
        if staged is not None:
            assert isinstance(staged, FakeStaged)
            assert staged.digest == adapter.digest, "another adapter's weights are copied"
            self.staged[adapter.digest] = staged
            if self.copies_at_once:
                self.before_copy()
                self.succeed(adapter)

    def prefetch(self, adapter: AdapterKey) -> None:
        """Remembers the adapter."""
        assert adapter not in self.prefetching, "an adapter is read twice at once"
        self.prefetching.append(adapter)

    def read(self, adapter: AdapterKey, error: Exception | None = None) -> None:
        """Ends a prefetch, well unless there is an error."""
        self.prefetching.remove(adapter)
        future: Future[Prefetched] = Future()
        if error is None:
            future.set_result(Prefetched(FakeStaged(adapter.digest), {"fetch": 0.5, "stage": 0.25}))
        else:
            future.set_exception(error)
        self._tell(PrefetchEnded(adapter, future))

    def free(self, place: Place) -> None:
        """Empties the place."""
        del self.device.places[place]
        self._free.append(place)

    def begin_copy(self, adapter: AdapterKey) -> None:
        """Claims a place; until the load ends, half of what lies there is another adapter's."""
        if not self._free:
            self._free.append(Place(0, self._made))
            self._made += 1
        self.copying[adapter] = self._free.pop()
        self.device.places[self.copying[adapter]] = TORN
        self._tell(LoadAdvanced(adapter, SlotState.LOADING))

    def succeed(self, adapter: AdapterKey) -> None:
        """Ends a load well."""
        if adapter not in self.copying:
            self.begin_copy(adapter)
        self.pending.remove(adapter)
        place = self.copying.pop(adapter)
        self.device.places[place] = adapter.digest
        future: Future[Loaded] = Future()
        if self.staged.pop(adapter.digest, None) is not None:
            future.set_result(Loaded(place, 8, 1000, {"copy": 0.125}))
        else:
            seconds = {"fetch": 0.5, "stage": 0.25, "copy": 0.125}
            future.set_result(Loaded(place, 8, 1000, seconds, FakeStaged(adapter.digest)))
        self._tell(LoadEnded(adapter, future))

    def crowd(self, adapter: AdapterKey) -> None:
        """Ends a load without memory for it: others hold it."""
        self._stop(adapter)
        staged = None if self.staged.pop(adapter.digest, None) else FakeStaged(adapter.digest)
        future: Future[Loaded] = Future()
        future.set_result(Loaded(None, 8, 1000, {"copy": 0.125}, staged))
        self._tell(LoadEnded(adapter, future))

    def fail(self, adapter: AdapterKey, error: Exception) -> None:
        """Ends a load badly."""
        self._stop(adapter)
        future: Future[Loaded] = Future()
        self.staged.pop(adapter.digest, None)
        future.set_exception(error)
        self._tell(LoadEnded(adapter, future))

    def _stop(self, adapter: AdapterKey) -> None:
        self.pending.remove(adapter)
        if (place := self.copying.pop(adapter, None)) is not None:
            self.free(place)
