"""Random lives of an engine on a deferred device, from a seed, and what must hold in each.

Callers come, leave, and come back with the id they had; adapters are evicted, fail to load, find no room;
blocks run out; steps, texts and callers fail. Every seam of a step lets the device advance and copies begin.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from fakes.engine.deferred import DeferredWorld
from fakes.engine.engines import NumberText, wrong_outputs
from fakes.engine.runner import right_answer
from parfocal.engine import (
    AdapterKey,
    AdapterUnavailable,
    Delta,
    FinishReason,
    InvalidRequest,
    Pooling,
    Request,
    RequestReport,
    SendingFailed,
    SilentObserver,
    StepFailed,
    Stop,
)
from parfocal.engine.live import LiveRequest
from parfocal.engine.scheduling import PlanRow

ACTIONS = 60
_REST_STEPS = 3000
_DIGESTS = ("", "a", "b", "c")
_SEAMS = ("launch", "half", "sample", "wait")
# Prompts of a family begin alike, so that blocks are found again and shared.
_FAMILIES = (7, 8)
_LONGEST = 26


class Trouble(Exception):
    """What the schedule makes a part of the engine raise."""


@dataclass(eq=False)
class Call:
    """One caller: what it asked, what it got, and what was done to it.

    `fails_at` is the seam at which its rows fail, or "logits"; `sends` how many items its caller still takes;
    `again` how often it sends the same id again, in the very moment in which it is told of its end.
    """

    request: Request
    again: int
    items: list[Delta | Exception] = field(default_factory=list)
    ends: int = 0
    asked: set[FinishReason] = field(default_factory=set)
    harms: set[type[Exception]] = field(default_factory=set)
    fails_at: str = ""
    sends: int = 1 << 30
    live: LiveRequest | None = None

    @property
    def digest(self) -> str:
        """Its adapter's digest."""
        return self.request.adapter.digest if self.request.adapter else ""

    def right(self) -> tuple[list[int], FinishReason]:
        """Returns the right tokens of an undisturbed answer, and why it ends."""
        stop = self.request.stop
        tokens = right_answer(self.request.prompt_ids, self.digest, stop.max_tokens or 0)
        text = ""
        for at, token in enumerate(tokens):
            if token in stop.token_ids:
                return tokens[: at + 1], FinishReason.STOP
            text += f"{token},"
            if text.endswith(stop.strings or ("no",)):
                return tokens[: at + 1], FinishReason.STOP_STRING
        return tokens, FinishReason.LENGTH


class FragileText(NumberText):
    """A text that raises once it is broken."""

    broken = False

    def push(self, token_ids: list[int], *, may_stop: bool = True) -> str:
        """Returns the ids' text."""
        if self.broken:
            raise Trouble("the text is broken")
        return super().push(token_ids, may_stop=may_stop)

    def finish(self) -> str:
        """Returns nothing."""
        if self.broken:
            raise Trouble("the text is broken")
        return super().finish()


@dataclass
class FragileObserver(SilentObserver):
    """Counts the ended requests; raises for some of them, having counted."""

    reports: list[RequestReport] = field(default_factory=list)
    raises: int = 0

    def request(self, report: RequestReport) -> None:
        """Counts an ended request."""
        self.reports.append(report)
        if self.raises:
            self.raises -= 1
            raise Trouble("the observer is broken")


class Schedule:
    """One random life. `run` lives it to its end; `faults` says what was wrong with it."""

    def __init__(self, draw: Random) -> None:
        self.draw = draw
        self.observer = FragileObserver()
        self.calls: list[Call] = []
        self.refused = 0
        self.moved_in_steps = 0
        self.queued_ahead = 0
        self._holder: dict[str, Call] = {}
        self._trouble = ""
        self.world = DeferredWorld(
            self,
            slots=draw.choice((1, 1, 2)),
            max_batch_tokens=draw.choice((4, 6, 8)),
            blocks=draw.choice((9, 11, 14)),
            max_skips=draw.choice((1, 2, 3)),
            host_bytes=draw.choice((0, 1000, 3000)),
            prefix_cache=draw.random() < 0.9,
            overlaps=draw.random() < 0.8,
            observer=self.observer,
            text=FragileText,
        )

    def run(self) -> list[str]:
        """Lives, comes to rest, and returns what was wrong."""
        actions = {
            self.submit: 8,
            self.step: 14,
            self.advance: 3,
            self.move_a_load: 8,
            self.end_a_prefetch: 4,
            self.spoil_a_load: 1,
            self.leave: 4,
            self.expire: 1,
            self.break_a_row: 1,
            self.break_a_step: 1,
            self.break_a_text: 1,
            self.break_a_caller: 1,
            self.break_the_observer: 1,
        }
        try:
            for act in self.draw.choices(list(actions), list(actions.values()), k=ACTIONS):
                act()
                self.world.check_invariants()
            self._rest()
            self._check_rest()
        except AssertionError as error:
            return [*self.world.late.faults, f"assertion: {error}"]
        return [*self.world.late.faults, *self.world.faults, *self._wrong()]

    def submit(self) -> None:
        """Sends a request, mostly with an id that another had or has."""
        draw = self.draw
        family = draw.choice(_FAMILIES)
        prompt = tuple((family * at) % 5 for at in range(draw.randrange(_LONGEST)))
        prompt += (draw.randrange(3),)
        digest = draw.choice(_DIGESTS)
        most = draw.randrange(1, 7)
        right = right_answer(prompt, digest, most)
        stop = Stop(
            max_tokens=most,
            strings=(f"{draw.choice(right)},",) if draw.random() < 0.3 else (),
            token_ids=(draw.choice(right),) if draw.random() < 0.2 else (),
        )
        adapter = AdapterKey(digest) if digest else None
        request = Request(f"x{draw.randrange(6)}", prompt, adapter, stop=stop)
        kind = draw.choice(("", "", "", "scored", "scored alone", "embedded", "both"))
        if "scored" in kind or kind == "both":
            request = replace(request, prompt_logprobs=draw.randrange(3))
        if kind in ("scored alone", "embedded", "both"):
            request = replace(request, stop=Stop(max_tokens=0))
        if kind in ("embedded", "both"):
            request = replace(request, pooling=draw.choice(tuple(Pooling)), normalised=draw.random() < 0.5)
        self._send(Call(request, again=draw.choice((0, 0, 1, 2))))

    def step(self) -> None:
        """Lets the engine step."""
        for _ in range(self.draw.randrange(1, 4)):
            self.world.engine.step()

    def advance(self) -> None:
        """Lets the device compute some of what is queued."""
        self.world.late.advance(self.draw.randrange(1, 12))

    def move_a_load(self) -> None:
        """Begins or ends a copy."""
        loader = self.world.loader
        if not loader.pending:
            return
        adapter = self.draw.choice(loader.pending)
        if adapter not in loader.copying and self.draw.random() < 0.5:
            loader.begin_copy(adapter)
        else:
            loader.succeed(adapter)

    def end_a_prefetch(self) -> None:
        """Ends a prefetch, now and then badly."""
        loader = self.world.loader
        if not loader.prefetching:
            return
        adapter = self.draw.choice(loader.prefetching)
        if self.draw.random() < 0.2:
            self._harm(adapter)
            loader.read(adapter, OSError("the disk is gone"))
        else:
            loader.read(adapter)

    def spoil_a_load(self) -> None:
        """Ends a load badly, or without room for it."""
        loader = self.world.loader
        if not loader.pending:
            return
        adapter = self.draw.choice(loader.pending)
        if self.draw.random() < 0.5 and any(slot.place is not None for slot in self.world.table):
            loader.crowd(adapter)
        else:
            self._harm(adapter)
            loader.fail(adapter, OSError("the disk is gone"))

    def leave(self) -> None:
        """Cancels a request, which may have ended long ago."""
        if self.calls:
            call = self.draw.choice(self.calls[-8:])
            call.asked.add(FinishReason.CANCELLED)
            assert call.live is not None
            self.world.engine.cancel(call.live)

    def expire(self) -> None:
        """Lets a request's deadline pass."""
        if self.calls:
            call = self.draw.choice(self.calls[-8:])
            assert call.live is not None
            call.asked.add(FinishReason.DEADLINE)
            call.live.sequence.request = replace(call.request, deadline=time.monotonic() - 1)

    def break_a_row(self) -> None:
        """Makes the model fail on a request from now on."""
        if self.calls:
            call = self.draw.choice(self.calls[-8:])
            call.fails_at = self.draw.choice((*_SEAMS, "logits"))
            call.harms.add(StepFailed)

    def break_a_step(self) -> None:
        """Makes the next step fail, whoever is in it."""
        self._trouble = self.draw.choice(_SEAMS)

    def break_a_text(self) -> None:
        """Makes a request's text fail from now on."""
        if self.calls:
            call = self.draw.choice(self.calls[-8:])
            assert call.live is not None and isinstance(call.live.text, FragileText)
            call.live.text.broken = True
            call.harms.add(SendingFailed)

    def break_a_caller(self) -> None:
        """Makes a caller raise when it is sent something, soon."""
        if self.calls:
            call = self.draw.choice(self.calls[-8:])
            call.sends = self.draw.randrange(3)
            call.harms.add(SendingFailed)

    def break_the_observer(self) -> None:
        """Makes the observer raise when the next request ends."""
        self.observer.raises += 1

    def blows(self, seam: str, rows: Sequence[PlanRow]) -> None:
        """Lets other threads act at a seam of a step; raises where the schedule wants the step to fail."""
        act = self.draw.choice((None, None, self.advance, self.move_a_load, self.end_a_prefetch))
        if act is not None:
            act()
            self.moved_in_steps += act == self.move_a_load
        if self._trouble == seam:
            self._trouble = ""
            if len(rows) == 1 and (call := self._holder.get(rows[0].request_id)):
                call.harms.add(StepFailed)
            raise Trouble("out of memory")
        if any(self._fate(row) == seam for row in rows):
            raise Trouble("the model fails on this")

    def spoils(self, row: PlanRow) -> bool:
        """Whether a row's logits are not finite."""
        return self._fate(row) == "logits"

    def follows(self, rows: Sequence[PlanRow]) -> bool:
        """Whether rows can be queued whose tokens only the device knows: nearly always."""
        self.queued_ahead += len(rows) > 0
        return self.draw.random() < 0.9

    def _fate(self, row: PlanRow) -> str:
        call = self._holder.get(row.request_id)
        return call.fails_at if call else ""

    def _harm(self, adapter: AdapterKey) -> None:
        for call in self.calls:
            if call.digest == adapter.digest:
                call.harms.add(AdapterUnavailable)

    def _send(self, call: Call) -> None:
        try:
            call.live = self.world.engine.submit(call.request, lambda item: self._take(call, item))
        except InvalidRequest:
            self.refused += 1
            return
        self.calls.append(call)
        self._holder[call.request.request_id] = call

    def _take(self, call: Call, item: Delta | Exception) -> None:
        call.items.append(item)
        call.sends -= 1
        if isinstance(item, Exception) or item.completion is not None:
            call.ends += 1
            if call.again:
                self._send(Call(call.request, call.again - 1))
        if call.sends < 0:
            raise Trouble("the caller is gone")

    def _rest(self) -> None:
        """Lets everything come to its end, well from now on."""
        world = self.world
        self._trouble = ""
        for _ in range(_REST_STEPS):
            came = world.finish_loads()
            world.late.advance(self.draw.randrange(4))
            if not world.engine.step() and not came and not world.engine.live:
                return
        raise AssertionError("the engine does not come to rest")

    def _check_rest(self) -> None:
        world = self.world
        world.late.finish()
        world.check_invariants()
        assert world.pool.free == world.pool.total, "blocks are held at rest"
        assert all(slot.pins == 0 for slot in world.table), "slots are pinned at rest"
        assert world.engine.live == 0, "ids are held at rest"
        lying = sorted(world.late.places.values())
        assert lying == sorted(slot.adapter.digest for slot in world.table), "places are held at rest"
        assert len(self.observer.reports) == len(self.calls), "not every end was reported once"

    def _wrong(self) -> list[str]:
        return [fault for call in self.calls if (fault := self._wrong_with(call))]

    def _wrong_with(self, call: Call) -> str:
        if call.ends != 1:
            return f"{call.request} was told of {call.ends} ends"
        last = call.items[-1]
        if isinstance(last, Exception):
            known = any(type(last) is harm for harm in call.harms)
            return "" if known else f"{call.request} ended in {type(last).__name__}: {last}"
        if last.completion is None:
            return f"{call.request} got a delta after its end"
        right, reason = call.right()
        got, found = list(last.completion.token_ids), last.completion.finish_reason
        if fault := wrong_outputs(call.request, last.completion):
            return f"{call.request}: {fault}"
        if (got, found) == (right, reason):
            return ""
        is_short = len(got) < len(right) or not right
        cut = found in call.asked and is_short and got == right[: len(got)]
        return "" if cut else f"{call.request} got {got} ({found}) instead of {right} ({reason})"
