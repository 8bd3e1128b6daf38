"""What canaries promise in every registry: the same tests for a folder, PostgreSQL and S3, and a server."""

from dataclasses import replace
from itertools import islice

import pytest

from parfocal.registry import (
    CanaryComparison,
    CanaryEnd,
    CanaryPlan,
    Gate,
    GateRefused,
    Guard,
    GuardedMetric,
    MoveKind,
    Registry,
)
from parfocal.registry.errors import (
    AliasMoved,
    AliasNotFound,
    CanaryNotFound,
    InvalidCanary,
    VersionInUse,
    VersionNotFound,
)
from parfocal.registry.gates import BelowBase, Outcome, Override, Passage
from parfocal.registry.values import CanaryOutcome, EventKind, VersionFilter

PLAN = CanaryPlan(2, 1000, (Guard(GuardedMetric.ERRORS, 0.01, 50), Guard(GuardedMetric.TTFT, 0.2)))
FOUND = CanaryComparison(GuardedMetric.ERRORS, 0.01, 0.95, 120, 1080, 0.25, 0.01, 0.24, 0.11, 0.4)


def begin(registry: Registry, plan: CanaryPlan = PLAN) -> int:
    """Begins a canary of `team/x@prod`; returns its number."""
    canary = registry.set_canary("team/x", "prod", plan, Override(actor="bob")).canary
    assert canary is not None
    return canary.number


def test_an_alias_with_a_canary_still_means_its_version_and_tells_of_the_other(
    shared_alias: Registry,
) -> None:
    alias = shared_alias.set_canary("team/x", "prod", PLAN, Override(actor="bob", expected_version=1))
    canary = alias.canary
    assert canary is not None
    assert (alias.version, alias.actor) == (1, "ann")
    assert (canary.plan, canary.name, canary.alias, canary.actor) == (PLAN, "team/x", "prod", "bob")
    assert canary.digest == shared_alias.resolve("team/x@2").digest
    resolved = shared_alias.resolve("team/x@prod")
    assert (resolved.version, resolved.canary) == (1, canary)
    assert shared_alias.aliases("team/x") == [alias]
    assert [each.canaries for each in shared_alias.adapters().items] == [{"prod": canary}]
    assert shared_alias.resolve("team/x@1").canary is None
    assert shared_alias.resolve("team/x").canary is None


def test_the_history_tells_of_a_canary_and_where_the_alias_pointed_all_the_time(
    shared_alias: Registry,
) -> None:
    number = begin(shared_alias)
    shared_alias.abort_canary("team/x", "prod", number, "eve", (FOUND,))
    aborted, begun, first = shared_alias.alias_history("team/x", "prod")
    assert [each.kind for each in (first, begun, aborted)] == [MoveKind.SET, MoveKind.CANARY, MoveKind.ABORT]
    assert {(each.version, each.previous_version) for each in (begun, aborted)} == {(1, 1)}
    assert CanaryPlan.parse(begun.canary) == (PLAN, shared_alias.resolve("team/x@2").digest)
    assert CanaryEnd.parse(aborted.canary) == CanaryEnd(2, 1000, number, CanaryOutcome.ABORTED, (FOUND,))
    assert (begun.actor, aborted.actor) == ("bob", "eve")
    assert first.canary == ""


def test_a_watch_tells_of_canaries(shared_alias: Registry) -> None:
    watch = shared_alias.watch("team/x", 0)
    number = begin(shared_alias)
    shared_alias.abort_canary("team/x", "prod", number)
    events = list(islice(watch, 6))
    watch.close()
    assert [event.kind for event in events[-2:]] == [EventKind.CANARY_SET, EventKind.CANARY_ABORTED]
    assert events[-2].sequence == number
    assert events[-1].hash == events[-1].hash_after(events[-2].hash)


def test_an_abort_leaves_the_alias_alone_with_its_version(shared_alias: Registry) -> None:
    alias = shared_alias.abort_canary("team/x", "prod", begin(shared_alias))
    assert (alias.version, alias.canary) == (1, None)
    assert shared_alias.resolve("team/x@prod").canary is None
    with pytest.raises(CanaryNotFound, match="--canary VERSION"):
        shared_alias.abort_canary("team/x", "prod", 1)


def test_an_abort_that_means_an_earlier_canary_does_not_end_the_next(shared_alias: Registry) -> None:
    before = begin(shared_alias)
    now = begin(shared_alias, replace(PLAN, weight=2500))
    with pytest.raises(AliasMoved, match=f"number {now}, expected number {before}"):
        shared_alias.abort_canary("team/x", "prod", before)
    canary = shared_alias.resolve("team/x@prod").canary
    assert canary is not None
    assert (canary.weight, canary.number) == (2500, now)


def test_the_same_canary_again_records_nothing(shared_alias: Registry) -> None:
    assert begin(shared_alias) == begin(shared_alias)
    assert len(shared_alias.alias_history("team/x", "prod")) == 2


def test_a_promoted_canary_is_what_the_alias_means(shared_alias: Registry) -> None:
    number = begin(shared_alias)
    (seen,) = shared_alias.aliases("team/x")
    alias = shared_alias.promote_canary(seen, Override(actor="cat"))
    assert (alias.version, alias.canary, alias.actor) == (2, None, "cat")
    move = shared_alias.alias_history("team/x", "prod")[0]
    assert (move.kind, move.previous_version, move.version) == (MoveKind.SET, 1, 2)
    assert CanaryEnd.parse(move.canary) == CanaryEnd(2, 1000, number, CanaryOutcome.PROMOTED)


def test_what_changed_since_it_was_seen_is_not_promoted(shared_alias: Registry) -> None:
    begin(shared_alias)
    (seen,) = shared_alias.aliases("team/x")
    begin(shared_alias, CanaryPlan(3, 500))
    with pytest.raises(AliasMoved):
        shared_alias.promote_canary(seen)
    (now,) = shared_alias.aliases("team/x")
    shared_alias.abort_canary("team/x", "prod", now.canary.number if now.canary else 0)
    (alone,) = shared_alias.aliases("team/x")
    with pytest.raises(CanaryNotFound):
        shared_alias.promote_canary(alone)
    assert shared_alias.resolve("team/x@prod").version == 1


@pytest.mark.parametrize("version", [1, 3])
def test_an_alias_that_is_set_gives_all_its_requests_there(shared_alias: Registry, version: int) -> None:
    begin(shared_alias)
    alias = shared_alias.set_alias("team/x", "prod", version)
    assert (alias.version, alias.canary) == (version, None)
    move = shared_alias.alias_history("team/x", "prod")[0]
    assert CanaryEnd.parse(move.canary).outcome is CanaryOutcome.REPLACED


def test_a_rollback_ends_a_canary_and_never_leads_to_one(shared_alias: Registry) -> None:
    shared_alias.set_alias("team/x", "prod", 3)
    begin(shared_alias)
    alias = shared_alias.rollback_alias("team/x", "prod", 3)
    assert (alias.version, alias.canary) == (1, None)
    assert CanaryEnd.parse(shared_alias.alias_history("team/x", "prod")[0].canary).version == 2


def test_a_deleted_alias_has_no_canary_when_it_comes_back(shared_alias: Registry) -> None:
    begin(shared_alias)
    shared_alias.delete_alias("team/x", "prod")
    assert CanaryEnd.parse(shared_alias.alias_history("team/x", "prod")[0].canary).weight == 1000
    assert shared_alias.set_alias("team/x", "prod", 1).canary is None


def test_what_a_canary_gets_requests_with_is_not_deleted(shared_alias: Registry) -> None:
    number = begin(shared_alias)
    with pytest.raises(VersionInUse, match="abort the canary"):
        shared_alias.delete_version("team/x", 2)
    shared_alias.abort_canary("team/x", "prod", number)
    shared_alias.delete_version("team/x", 2)


def test_an_adapter_that_is_deleted_by_force_takes_its_canaries_along(shared_alias: Registry) -> None:
    begin(shared_alias)
    shared_alias.delete_adapter("team/x", force=True)
    assert shared_alias.adapters().items == ()


def test_a_list_of_what_an_alias_points_at_is_not_about_its_canary(shared_alias: Registry) -> None:
    begin(shared_alias)
    found = shared_alias.versions("team/x", where=VersionFilter(alias="prod")).items
    assert [each.version for each in found] == [1]


def test_a_gate_is_asked_of_a_canary_as_of_a_move(shared_alias: Registry) -> None:
    shared_alias.set_gate("team/x", "prod", Gate((BelowBase(),)))
    with pytest.raises(GateRefused, match="refuses version 2"):
        begin(shared_alias)
    assert shared_alias.resolve("team/x@prod").canary is None
    alias = shared_alias.set_canary("team/x", "prod", PLAN, Override("no rows yet", "bob"))
    kept = Passage.parse(shared_alias.alias_history("team/x", "prod")[0].gate)
    assert (kept.outcome, kept.reason) == (Outcome.OVERRIDDEN, "no rows yet")
    with pytest.raises(GateRefused):
        shared_alias.promote_canary(alias)
    assert shared_alias.promote_canary(alias, Override("still none")).version == 2


def test_a_stale_expectation_begins_no_canary(shared_alias: Registry) -> None:
    with pytest.raises(AliasMoved):
        shared_alias.set_canary("team/x", "prod", PLAN, Override(expected_version=3))
    number = begin(shared_alias)
    with pytest.raises(AliasMoved):
        shared_alias.set_canary("team/x", "prod", CanaryPlan(3, 500), Override(expected_canary=0))
    with pytest.raises(AliasMoved):
        shared_alias.move_alias("team/x", "prod", 3, Override(expected_canary=number - 1))


def test_what_is_no_second_version_begins_no_canary(shared_alias: Registry) -> None:
    with pytest.raises(InvalidCanary, match="points at version 1; its canary must be another"):
        begin(shared_alias, CanaryPlan(1, 1000))
    with pytest.raises(VersionNotFound):
        begin(shared_alias, CanaryPlan(9, 1000))
    with pytest.raises(AliasNotFound):
        shared_alias.set_canary("team/x", "beta", PLAN)
