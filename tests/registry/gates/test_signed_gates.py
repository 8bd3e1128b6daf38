"""A gate that asks who has signed: by trusted keys' names or ids, in every registry."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from fakes.signing.signatures import NOW, Trusting, bundle, key_of, policy, sign, trusting
from parfocal.registry import Registry, StoredRegistry, Version
from parfocal.registry.errors import GateRefused, NotSigned
from parfocal.registry.gates import BelowBase, Gate, Outcome, Override, Passage, SignedBy
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.signing import Requirement, SignaturePolicy, TrustedKeys

Publish = Callable[..., Version]
Hold = Callable[[Registry, SignaturePolicy], None]
BY_ANN = Gate((SignedBy(("ann",)),))


@pytest.fixture
def hold(request: pytest.FixtureRequest) -> Hold:
    """Returns a function that holds a registry to a policy, wherever it is."""

    def to(registry: Registry, wanted: SignaturePolicy) -> None:
        if isinstance(registry, RemoteRegistry):
            registry = request.getfixturevalue("registry")
        assert isinstance(registry, StoredRegistry)
        registry.hold_to(wanted)

    return to


@pytest.fixture
def versions(any_registry: Registry, publish: Publish) -> Registry:
    """Three versions of team/x: ann has signed the first, eve the second, nobody the third."""
    for signer in ("ann", "eve", ""):
        version = publish(any_registry)
        if signer:
            sign(any_registry, version, signer)
    return any_registry


def test_an_alias_moves_only_to_what_one_of_the_keys_has_signed(versions: Registry, hold: Hold) -> None:
    hold(versions, policy(Requirement.OFF, "ann", "ben", "eve"))
    versions.set_gate("team/x", "prod", Gate((SignedBy(("ben", "ann")),)))

    assert versions.set_alias("team/x", "prod", 1).version == 1
    with pytest.raises(GateRefused, match="signed by ben or ann: signed by eve only"):
        versions.set_alias("team/x", "prod", 2)
    with pytest.raises(GateRefused, match="signed by ben or ann: not signed"):
        versions.set_alias("team/x", "prod", 3)
    assert versions.resolve("team/x@prod").version == 1


def test_what_the_gate_found_of_the_signer_stays_in_the_history(versions: Registry, hold: Hold) -> None:
    hold(versions, policy(Requirement.OFF, "ann"))
    versions.set_gate("team/x", "prod", BY_ANN)
    versions.set_alias("team/x", "prod", 1)

    kept = Passage.parse(versions.alias_history("team/x", "prod")[0].gate)

    assert (kept.outcome, [each.found for each in kept.evidence]) == (Outcome.PASSED, ["signed by ann"])


def test_a_key_may_be_named_by_its_id(versions: Registry, hold: Hold) -> None:
    hold(versions, policy(Requirement.OFF, "ann", "eve"))
    key_id = key_of("ann").public.id
    versions.set_gate("team/x", "prod", Gate((SignedBy((key_id,)),)))

    assert versions.check_gate("team/x", "prod", 1).passed
    assert not versions.check_gate("team/x", "prod", 2).passed


def test_what_is_signed_later_meets_the_rule(versions: Registry, hold: Hold) -> None:
    hold(versions, policy(Requirement.OFF, "ann"))
    versions.set_gate("team/x", "prod", BY_ANN)
    assert not versions.check_gate("team/x", "prod", 3).passed

    sign(versions, versions.resolve("team/x@3"), "ann")

    assert versions.set_alias("team/x", "prod", 3).version == 3


def test_a_signature_that_nobody_trusts_meets_no_rule_though_it_names_the_key(
    versions: Registry, hold: Hold
) -> None:
    hold(versions, policy(Requirement.OFF, "ben"))
    versions.set_gate("team/x", "prod", BY_ANN)

    with pytest.raises(GateRefused, match="not signed"):
        versions.set_alias("team/x", "prod", 1)


def test_a_forged_signature_meets_no_rule(versions: Registry, hold: Hold) -> None:
    hold(versions, policy(Requirement.OFF, "ann"))
    versions.set_gate("team/x", "prod", BY_ANN)
    third = versions.resolve("team/x@3")
    eve, ann = (key_of(name).public.id.encode() for name in ("eve", "ann"))
    versions.add_signature("team/x", 3, bundle(third, "eve").replace(eve, ann))

    with pytest.raises(GateRefused, match="not signed"):
        versions.set_alias("team/x", "prod", 3)


def test_a_key_that_has_ended_or_is_trusted_no_more_meets_no_rule(versions: Registry, hold: Hold) -> None:
    (ann,) = trusting("ann").keys.values()
    ends = Trusting()
    ends.keys = TrustedKeys({ann.key.id: replace(ann, expires=NOW)})
    moments = [NOW - timedelta(seconds=1)]
    hold(versions, SignaturePolicy(Requirement.OFF, ends, clock=lambda: moments[-1]))
    versions.set_gate("team/x", "prod", BY_ANN)
    assert versions.check_gate("team/x", "prod", 1).passed

    moments.append(NOW)

    assert not versions.check_gate("team/x", "prod", 1).passed
    hold(versions, policy(Requirement.OFF, "ben"))
    assert not versions.check_gate("team/x", "prod", 1).passed


def test_a_registry_without_trusted_keys_says_what_it_lacks(versions: Registry) -> None:
    versions.set_gate("team/x", "prod", BY_ANN)

    with pytest.raises(GateRefused, match="verifies no signatures; name keys that it trusts: --trusted-keys"):
        versions.set_alias("team/x", "prod", 1)


def test_an_override_leads_past_the_gate_and_never_past_the_policy(versions: Registry, hold: Hold) -> None:
    hold(versions, policy(Requirement.OFF, "ann"))
    versions.set_gate("team/x", "prod", BY_ANN)
    assert versions.override_gate("team/x", "prod", 3, Override("nobody is here to sign")).version == 3

    hold(versions, policy(Requirement.REQUIRE, "ann"))

    with pytest.raises(NotSigned, match="team/x@2"):
        versions.override_gate("team/x", "prod", 2, Override("in a hurry"))
    assert versions.resolve("team/x@prod").version == 3


def test_rules_about_signers_and_about_figures_stand_together(
    any_registry: Registry, publish: Publish, hold: Hold
) -> None:
    hold(any_registry, policy(Requirement.OFF, "ann"))
    sign(any_registry, publish(any_registry, adapter_loss=2.5, base_loss=2.0), "ann")
    publish(any_registry, adapter_loss=1.5, base_loss=2.0)
    any_registry.set_gate("team/x", "prod", Gate((BelowBase(), SignedBy(("ann",)))))

    found = [any_registry.check_gate("team/x", "prod", number) for number in (1, 2)]

    assert [[each.passed for each in verdict.evidence] for verdict in found] == [[False, True], [True, False]]
