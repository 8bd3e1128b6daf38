"""What gates promise in every registry: the same tests for a folder, PostgreSQL and S3, and a server."""

from collections.abc import Callable
from dataclasses import replace
from itertools import islice

import pytest

from parfocal.registry import BaseContract, MoveKind, Registry, Version
from parfocal.registry.errors import (
    AdapterNotFound,
    AliasMoved,
    GateNotFound,
    GateRefused,
    InvalidAlias,
    InvalidArgument,
    VersionNotFound,
)
from parfocal.registry.gates import (
    BelowBase,
    Bound,
    Gate,
    NotAboveCurrent,
    Outcome,
    Override,
    Passage,
    SameBase,
    Side,
)
from parfocal.registry.values import EventKind

Publish = Callable[..., Version]
BETTER = Gate((BelowBase(), NotAboveCurrent(0.02)))


def passage(registry: Registry) -> Passage:
    """What the gate of prod found of its last move."""
    return Passage.parse(registry.alias_history("team/x", "prod")[0].gate)


def test_a_version_that_meets_every_rule_moves_the_alias_and_the_evidence_is_kept(
    any_registry: Registry, publish: Publish
) -> None:
    publish(any_registry, adapter_loss=1.5, base_loss=2.0)
    publish(any_registry, adapter_loss=1.51, base_loss=2.0)
    any_registry.set_gate("team/x", "prod", BETTER, "ann")
    any_registry.set_alias("team/x", "prod", 1)
    assert any_registry.set_alias("team/x", "prod", 2, expected_version=1).version == 2
    kept = passage(any_registry)
    assert (kept.outcome, kept.reason) == (Outcome.PASSED, "")
    assert [each.found for each in kept.evidence] == [
        "1.51 against 2 of the base",
        "1.51 against 1.5 of version 1",
    ]


def test_a_version_that_misses_a_rule_is_refused_with_the_rule_and_by_how_much(
    any_registry: Registry, publish: Publish
) -> None:
    publish(any_registry, adapter_loss=1.5, base_loss=2.0)
    publish(any_registry, adapter_loss=1.6, base_loss=2.0)
    any_registry.set_gate("team/x", "prod", BETTER)
    any_registry.set_alias("team/x", "prod", 1)
    with pytest.raises(GateRefused) as refused:
        any_registry.set_alias("team/x", "prod", 2)
    assert (
        "the gate of team/x@prod refuses version 2: held-out loss not above the current version's by more "
        "than 0.02: 1.6 against 1.5 of version 1, short by 0.08." in str(refused.value)
    )
    told = refused.value.metadata
    assert (told["failed"], told["found"]) == ("1", "1.6 against 1.5 of version 1")
    assert float(told["short_by"]) == pytest.approx(0.08)
    assert any_registry.resolve("team/x@prod").version == 1
    assert len(any_registry.alias_history("team/x", "prod")) == 1


def test_every_rule_that_is_missed_is_named(any_registry: Registry, publish: Publish) -> None:
    publish(any_registry)
    rules = [Bound(f"m{number}", Side.AT_LEAST, 1.0) for number in range(5)]
    any_registry.set_gate("team/x", "prod", Gate(tuple(rules)))
    with pytest.raises(GateRefused, match="m2 at least 1: it is not recorded; and 2 rules more") as refused:
        any_registry.set_alias("team/x", "prod", 1)
    assert refused.value.metadata["failed"] == "5"


def test_an_override_moves_the_alias_and_leaves_its_mark_for_ever(
    any_registry: Registry, publish: Publish
) -> None:
    publish(any_registry, adapter_loss=2.5, base_loss=2.0)
    any_registry.set_gate("team/x", "prod", BETTER)
    override = Override("the base was measured wrongly", "ann", expected_version=0)
    moved = any_registry.override_gate("team/x", "prod", 1, override)
    assert (moved.version, moved.actor) == (1, "ann")
    any_registry.clear_gate("team/x", "prod")
    any_registry.delete_alias("team/x", "prod")
    kept = Passage.parse(any_registry.alias_history("team/x", "prod")[1].gate)
    assert (kept.outcome, kept.reason) == (Outcome.OVERRIDDEN, "the base was measured wrongly")
    assert [each.short_by for each in kept.evidence] == [pytest.approx(0.5), None]


def test_an_override_that_nothing_refuses_leaves_no_mark(any_registry: Registry, publish: Publish) -> None:
    publish(any_registry, adapter_loss=1.5, base_loss=2.0)
    any_registry.set_gate("team/x", "prod", BETTER)
    any_registry.override_gate("team/x", "prod", 1, Override("to be sure"))
    assert passage(any_registry).outcome is Outcome.PASSED


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "x" * 301])
def test_an_override_says_why(any_registry: Registry, publish: Publish, reason: str) -> None:
    publish(any_registry)
    with pytest.raises(InvalidArgument) as refused:
        any_registry.override_gate("team/x", "prod", 1, Override(reason))
    assert refused.value.field == "override_reason"


def test_a_rollback_asks_no_gate_and_says_so(any_registry: Registry, publish: Publish) -> None:
    for loss in (2.5, 1.5):
        publish(any_registry, adapter_loss=loss, base_loss=2.0)
    any_registry.set_alias("team/x", "prod", 1)
    any_registry.set_gate("team/x", "prod", BETTER)
    any_registry.set_alias("team/x", "prod", 2)
    assert any_registry.rollback_alias("team/x", "prod", 2).version == 1
    assert passage(any_registry) == Passage(Outcome.ROLLED_BACK)
    assert any_registry.alias_history("team/x", "prod")[0].kind is MoveKind.ROLLBACK


def test_moves_without_a_gate_say_nothing_of_one(any_registry: Registry, publish: Publish) -> None:
    publish(any_registry)
    publish(any_registry)
    any_registry.set_alias("team/x", "prod", 1)
    any_registry.set_alias("team/x", "prod", 2)
    any_registry.rollback_alias("team/x", "prod", 2)
    assert {move.gate for move in any_registry.alias_history("team/x", "prod")} == {""}


def test_a_gate_is_told_replaced_and_cleared(any_registry: Registry, publish: Publish) -> None:
    publish(any_registry)
    with pytest.raises(GateNotFound):
        any_registry.gate("team/x", "prod")
    standing = any_registry.set_gate("team/x", "prod", BETTER, "ann")
    assert (standing.name, standing.alias, standing.gate, standing.actor) == ("team/x", "prod", BETTER, "ann")
    assert any_registry.set_gate("team/x", "prod", BETTER, "ben") == standing
    assert any_registry.gate("team/x", "prod") == standing
    other = Gate((Bound("score", Side.AT_LEAST, 0.5, "*", interval=True),))
    assert any_registry.set_gate("team/x", "prod", other, "ben").gate == other
    assert any_registry.gate("team/x", "prod").actor == "ben"
    with pytest.raises(GateNotFound):
        any_registry.gate("team/x", "dev")
    any_registry.clear_gate("team/x", "prod", "cy")
    with pytest.raises(GateNotFound):
        any_registry.clear_gate("team/x", "prod")
    assert any_registry.set_alias("team/x", "prod", 1).version == 1


def test_what_becomes_of_gates_is_in_the_history(any_registry: Registry, publish: Publish) -> None:
    publish(any_registry)
    any_registry.set_gate("team/x", "prod", BETTER, "ann")
    any_registry.set_gate("team/x", "prod", BETTER, "ben")
    any_registry.clear_gate("team/x", "prod", "cy")
    watch = any_registry.watch(after=1)
    events = list(islice(watch, 2))
    watch.close()
    assert [(event.sequence, event.kind, event.alias, event.actor) for event in events] == [
        (2, EventKind.GATE_SET, "prod", "ann"),
        (3, EventKind.GATE_CLEARED, "prod", "cy"),
    ]
    assert Gate.parse(events[0].gate) == BETTER
    assert any_registry.alias_moves("team/x").items == ()


def test_a_gate_outlives_its_alias_and_ends_with_its_adapter(
    any_registry: Registry, publish: Publish
) -> None:
    publish(any_registry, adapter_loss=2.5, base_loss=2.0)
    any_registry.set_alias("team/x", "prod", 1)
    any_registry.set_gate("team/x", "prod", BETTER)
    any_registry.delete_alias("team/x", "prod")
    with pytest.raises(GateRefused):
        any_registry.set_alias("team/x", "prod", 1)
    any_registry.delete_adapter("team/x")
    with pytest.raises(AdapterNotFound):
        any_registry.gate("team/x", "prod")
    again = publish(any_registry, adapter_loss=2.5, base_loss=2.0)
    assert any_registry.set_alias("team/x", "prod", again.version).version == 2


def test_a_stale_expectation_is_told_before_a_rule_that_is_missed(
    any_registry: Registry, publish: Publish
) -> None:
    publish(any_registry, adapter_loss=1.5, base_loss=2.0)
    publish(any_registry, adapter_loss=9.0, base_loss=2.0)
    any_registry.set_alias("team/x", "prod", 1)
    any_registry.set_gate("team/x", "prod", BETTER)
    with pytest.raises(AliasMoved):
        any_registry.set_alias("team/x", "prod", 2, expected_version=0)
    with pytest.raises(AliasMoved):
        any_registry.override_gate("team/x", "prod", 2, Override("why", expected_version=2))


def test_an_alias_set_where_it_points_already_asks_no_gate(any_registry: Registry, publish: Publish) -> None:
    publish(any_registry, adapter_loss=9.0, base_loss=2.0)
    any_registry.set_alias("team/x", "prod", 1)
    any_registry.set_gate("team/x", "prod", BETTER)
    assert any_registry.set_alias("team/x", "prod", 1).version == 1
    assert len(any_registry.alias_history("team/x", "prod")) == 1


def test_checking_a_version_moves_nothing(any_registry: Registry, publish: Publish) -> None:
    publish(any_registry, adapter_loss=1.5, base_loss=2.0)
    publish(any_registry, adapter_loss=1.6, base_loss=2.0)
    any_registry.set_alias("team/x", "prod", 1)
    any_registry.set_gate("team/x", "prod", BETTER)
    verdict = any_registry.check_gate("team/x", "prod", 2)
    assert (verdict.version, verdict.current, verdict.passed) == (2, 1, False)
    assert [each.passed for each in verdict.evidence] == [True, False]
    assert any_registry.check_gate("team/x", "prod", 1).passed
    assert any_registry.resolve("team/x@prod").version == 1
    with pytest.raises(VersionNotFound):
        any_registry.check_gate("team/x", "prod", 3)
    with pytest.raises(GateNotFound):
        any_registry.check_gate("team/x", "dev", 1)


def test_the_base_of_a_version_is_held_to_the_contract_that_is_named(
    any_registry: Registry, publish: Publish, base: BaseContract
) -> None:
    publish(any_registry)
    any_registry.set_gate("team/x", "prod", Gate((SameBase(base),)))
    assert any_registry.set_alias("team/x", "prod", 1).version == 1
    other = replace(base, tokenizer_digest="sha256:" + "0" * 64)
    any_registry.set_gate("team/x", "dev", Gate((SameBase(other),)))
    with pytest.raises(GateRefused, match=r"base\.tokenizer_digest: expected sha256:0000"):
        any_registry.set_alias("team/x", "dev", 1)


def test_a_gate_belongs_to_an_alias_of_an_adapter(any_registry: Registry, publish: Publish) -> None:
    publish(any_registry)
    with pytest.raises(AdapterNotFound):
        any_registry.set_gate("nobody", "prod", BETTER)
    with pytest.raises(InvalidAlias):
        any_registry.set_gate("team/x", "latest", BETTER)
    with pytest.raises(InvalidArgument):
        any_registry.set_gate("team/x", "prod", BETTER, "a\nb")
