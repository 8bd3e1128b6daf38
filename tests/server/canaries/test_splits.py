"""Who gets a canary on a server, and what becomes of one that is worse."""

import threading
from datetime import UTC, datetime

import pytest

from parfocal.registry import Alias, Canary, CanaryComparison, CanaryPlan, Guard, GuardedMetric
from parfocal.registry.errors import AliasMoved, IndexUnreachable
from parfocal.server.canaries import Aborter, Arm, Ended, Splits

WHEN = datetime(2026, 11, 27, tzinfo=UTC)
GUARDS = (Guard(GuardedMetric.ERRORS, samples=20),)
Found = tuple[CanaryComparison, ...]


def canary(weight: int = 5000, number: int = 7, name: str = "team/x") -> Canary:
    return Canary(name, "prod", CanaryPlan(2, weight, GUARDS), "sha256:" + "2" * 64, number, "ann", WHEN)


def keys(splits: Splits, given: Canary, count: int = 40) -> list[Arm]:
    return [splits.arm(given, 1, f"user-{number}") for number in range(count)]


def spoil(splits: Splits, given: Canary) -> None:
    """Has the canary fail each of its requests, and the other version none."""
    for arm in keys(splits, given, 100):
        splits.ended(arm, Ended(failed=arm.is_canary, tokens=3))


def test_every_server_gives_a_key_the_same_version() -> None:
    here, there = Splits(lambda *_: None), Splits(lambda *_: None)
    given = canary()
    assert keys(here, given) == keys(there, given)
    assert {arm.is_canary for arm in keys(here, given)} == {True, False}
    assert [arm.is_canary for arm in keys(here, given)] == [given.takes(f"user-{n}") for n in range(40)]


def test_a_canary_that_is_worse_gets_nothing_any_more_and_is_told_once() -> None:
    told: list[tuple[Canary, Found]] = []
    splits = Splits(lambda *worse: told.append(worse))
    given = canary()
    spoil(splits, given)
    spoil(splits, given)
    assert [each for each, _ in told] == [given]
    (found,) = told[0][1]
    assert (found.metric, found.canary_value, found.is_worse) == (GuardedMetric.ERRORS, 1.0, True)
    assert not any(arm.is_canary for arm in keys(splits, given))
    (shown,) = splits.shown()
    assert shown.is_held


def test_the_next_canary_of_an_alias_begins_anew() -> None:
    splits = Splits(lambda *_: None)
    spoil(splits, canary())
    later = canary(number=9)
    assert any(arm.is_canary for arm in keys(splits, later))
    (shown,) = splits.shown()
    assert (shown.canary, shown.is_held, shown.measured.requests) == (later, False, 0)


def test_what_ends_late_of_an_earlier_canary_spoils_no_later_one() -> None:
    splits = Splits(lambda *_: None)
    old = keys(splits, canary())
    keys(splits, canary(number=9))
    for arm in old:
        splits.ended(arm, Ended(failed=True))
    later = [each for each in splits.shown() if each.canary.number == 9]
    assert [each.measured.requests for each in later] == [0]


def test_canaries_that_nobody_asks_for_are_forgotten() -> None:
    splits = Splits(lambda *_: None)
    for number in range(1100):
        splits.arm(canary(name=f"team/n{number}"), 1, "user")
    assert len(splits.shown()) == 1000
    assert splits.shown()[0].canary.name == "team/n1099"


class Registry:
    """Aborts what it is told to, but for the first times."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.told: list[tuple[str, str, int, str, Found]] = []
        self.done = threading.Event()

    def abort_canary(self, name: str, alias: str, number: int, actor: str = "", found: Found = ()) -> Alias:
        self.told.append((name, alias, number, actor, found))
        if self.errors:
            raise self.errors.pop(0)
        self.done.set()
        return Alias(name, alias, 1, "sha256:" + "1" * 64, actor, WHEN)


@pytest.mark.parametrize("errors", [(), (IndexUnreachable("silent"), IndexUnreachable("silent"))])
def test_a_canary_is_aborted_once_the_registry_answers(errors: tuple[Exception, ...]) -> None:
    registry = Registry(*errors)
    aborter = Aborter(registry, "parfocal serve at here", retry_s=0.01)
    aborter.start()
    aborter.abort(canary(), ())
    assert registry.done.wait(60)
    aborter.close()
    assert registry.told == [("team/x", "prod", 7, "parfocal serve at here", ())] * (1 + len(errors))


def test_a_canary_that_ended_otherwise_is_not_aborted_again() -> None:
    registry = Registry(AliasMoved("promoted meanwhile"))
    aborter = Aborter(registry, "here", retry_s=0.01)
    aborter.start()
    aborter.abort(canary(), ())
    aborter.abort(canary(name="team/y"), ())
    assert registry.done.wait(60)
    aborter.close()
    assert [each[0] for each in registry.told] == ["team/x", "team/y"]
