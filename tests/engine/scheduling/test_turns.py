"""More adapters than slots: nobody starves, who needs no slot is not held back, adapters take turns."""

from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.engine.engines import World
from parfocal.engine import AdapterReport, SilentObserver


class Lookups(SilentObserver):
    """Writes down what each lookup found."""

    def __init__(self) -> None:
        self.found: list[str] = []

    def adapter(self, report: AdapterReport) -> None:
        if report.event in ("hit", "wait", "miss"):
            self.found.append(f"{report.event} {report.adapter.digest}")


def _world(slots: int, max_skips: int, max_requests: int = 4) -> World:
    return World(
        slots=slots, max_skips=max_skips, max_requests=max_requests, blocks=400, max_batch_tokens=100
    )


def _step(world: World) -> None:
    world.finish_loads()
    world.engine.step()


def _order(world: World) -> list[str]:
    """Returns the requests in the order in which they first ran."""
    return list(dict.fromkeys(row.request_id for plan in world.runner.plans for row in plan.rows))


def test_a_cold_adapter_is_not_starved_by_requests_for_warm_ones() -> None:
    world = _world(1, max_skips=3, max_requests=2)
    world.submit((1,), "warm", tokens=8)
    _step(world)
    _step(world)
    cold = world.submit((2,), "cold", tokens=1)
    for number in range(40):
        world.submit((3, number % 4), "warm", tokens=8)
    while cold not in world.completions:
        _step(world)

    assert _order(world).index(cold) <= 1 + 3
    world.settle()


def test_while_one_waits_too_long_only_its_slot_is_closed() -> None:
    world = _world(2, max_skips=2, max_requests=4)
    short, long = world.submit((1,), "short", tokens=20), world.submit((1,), "long", tokens=60)
    _step(world)
    _step(world)
    cold = world.submit((2,), "cold", tokens=1)
    followers = [world.submit((3, n), "long", tokens=1) for n in range(6)]
    bases = [world.submit((5, n), tokens=1) for n in range(3)]
    _step(world)
    late = world.submit((4,), "short", tokens=1)
    while cold not in world.completions:
        _step(world)
    world.settle()

    order = _order(world)
    assert all(order.index(name) < order.index(cold) for name in (short, long, *followers, *bases))
    assert order.index(late) > order.index(cold), "the closed slot was taken"


def test_a_request_ahead_of_the_one_that_waits_too_long_may_still_take_its_slot() -> None:
    world = _world(1, max_skips=0, max_requests=2)
    names = [world.submit((1, n), digest, tokens=2) for n, digest in enumerate("aaabaab")]
    while world.engine.live:
        _step(world)

    assert _order(world) == [names[n] for n in (0, 1, 2, 3, 4, 5, 6)]


def test_the_requests_of_an_adapter_run_together_in_its_turn() -> None:
    world = _world(2, max_skips=8, max_requests=8)
    for number in range(60):
        world.submit((1, number % 5), "abcdef"[number * 5 % 6], tokens=6)
    loads = 0
    while world.engine.live:
        loads += len(world.loader.pending)
        _step(world)

    assert 6 <= loads <= 20, "60 requests in turn would take 60 loads, one a request"


def test_a_slot_opens_again_when_whoever_waited_for_it_leaves() -> None:
    world = _world(1, max_skips=1, max_requests=2)
    world.submit((1,), "warm", tokens=40)
    _step(world)
    _step(world)
    cold = world.submit((2,), "cold", tokens=1)
    first, second = (world.submit((3, n), "warm", tokens=1) for n in range(2))
    for _ in range(6):
        _step(world)
    assert first in world.completions
    assert second not in world.completions
    world.cancel(cold)
    for _ in range(3):
        _step(world)

    assert second in world.completions
    world.settle()
    world.check_rest()


def test_each_request_counts_as_one_lookup_however_long_it_waits() -> None:
    lookups = Lookups()
    world = World(slots=1, max_skips=2, observer=lookups)
    for digest in ("a", "b", "a", "c", "a", "b", "a"):
        world.submit((1,), digest, tokens=3)
    world.settle()

    assert sorted(line.split()[1] for line in lookups.found) == sorted("abacaba")
    assert lookups.found[:2] == ["miss a", "miss b"]


def test_a_request_whose_slot_is_loading_pins_it_and_takes_no_place_in_the_batch() -> None:
    world = _world(1, max_skips=3, max_requests=1)
    cold, warm = world.submit((1,), "cold"), world.submit((2,))
    world.engine.step()

    assert [slot.pins for slot in world.table] == [1]
    assert [s.request.request_id for s in world.scheduler.running] == [warm]
    world.settle()
    assert cold in world.completions


def test_who_waits_for_a_slot_is_read_into_host_memory_at_once() -> None:
    world = _world(1, max_skips=3)
    world.submit((1,), "a", tokens=30)
    _step(world)
    _step(world)
    world.submit((2,), "b", tokens=1)
    world.engine.step()

    assert [adapter.digest for adapter in world.loader.prefetching] == ["b"]
    _step(world)
    assert world.host.find("b") is not None
    world.settle()


def test_a_prefetch_that_fails_ends_the_requests_that_wait_for_it_and_no_other() -> None:
    world = _world(1, max_skips=3)
    world.submit((1,), "a", tokens=30)
    _step(world)
    _step(world)
    bad = [world.submit((2, n), "bad", tokens=1) for n in range(2)]
    world.engine.step()
    world.loader.read(world.loader.prefetching[0], OSError("no such disk"))
    world.engine.step()

    assert set(world.errors) == set(bad)
    world.settle()
    world.check_rest()


LONGEST = 8


@dataclass(frozen=True)
class Load:
    """Endless traffic for as many adapters as there are slots, which could keep them for ever, and others.

    `ahead` requests are there first; then those of `traffic` come again and again: adapter, tokens.
    """

    slots: int
    max_skips: int
    max_requests: int
    others: int
    ahead: int
    traffic: Sequence[tuple[int, int]]

    def adapter(self, number: int) -> str:
        return "abcdefg"[number % (self.slots + self.others)]


loads = st.builds(
    Load,
    slots=st.integers(1, 4),
    max_skips=st.integers(0, 6),
    max_requests=st.integers(1, 6),
    others=st.integers(0, 3),
    ahead=st.integers(0, 8),
    traffic=st.lists(st.tuples(st.integers(0, 20), st.integers(1, LONGEST)), min_size=4),
)


@settings(max_examples=150)
@given(loads)
def test_under_endless_traffic_every_request_starts_within_a_bound(load: Load) -> None:
    """The bound: whoever is ahead, and whoever may pass, takes the longest answer each, one by one."""
    world = _world(load.slots, load.max_skips, load.max_requests)
    for number in range(load.ahead):
        world.submit((1,), load.adapter(number), tokens=LONGEST)
    _step(world)
    cold = world.submit((2,), "cold", tokens=1)
    passing = load.max_skips + load.slots * -(-load.max_skips // load.slots)
    bound = (load.ahead + passing + 2) * (LONGEST + 3)
    for number in range(2 * bound):
        which, tokens = load.traffic[number % len(load.traffic)]
        if len(world.scheduler.waiting) < 50:
            world.submit((3, number % 7), load.adapter(which), tokens=tokens)
        if number % 2:
            _step(world)
            world.check_invariants()
        if cold in world.completions:
            break

    assert cold in world.completions, f"a request waits for more than {bound} steps"
    world.settle()
    world.check_rest()
