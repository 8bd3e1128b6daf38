"""A server with a policy: who gets an answer from which version, and how soon a change counts."""

import asyncio
import logging
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from fakes.registry.peft_folders import Adapter, write_adapter
from fakes.registry.publisher import small_publication
from fakes.signing.signatures import NOW, Trusting, bundle, key_of, sign, trusting
from parfocal.registry import FolderRegistry, Version
from parfocal.registry.errors import NotSigned
from parfocal.registry.signing import Requirement, SignaturePolicy, TrustedKey, TrustedKeys
from parfocal.server.requests import AdapterResolver, SignedVersions


class Versions:
    """One version with some signatures, which counts how often they are asked for."""

    def __init__(self, version: Version, *names: str) -> None:
        self.version = version
        self.bundles = tuple(bundle(version, name) for name in names)
        self.asked = 0

    def __call__(self, version: Version) -> tuple[bytes, ...]:
        assert version == self.version
        self.asked += 1
        return self.bundles


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    registry = FolderRegistry(tmp_path / "registry")
    registry.publish("team/x", write_adapter(tmp_path / "adapter", Adapter()), small_publication(tmp_path))
    return registry


@pytest.fixture
def version(registry: FolderRegistry) -> Version:
    return registry.resolve("team/x")


def held_to(
    found: Versions, requirement: Requirement, trust: Trusting, seconds: Callable[[], float] = lambda: 0.0
) -> SignedVersions:
    return SignedVersions(found, SignaturePolicy(requirement, trust, clock=lambda: NOW), seconds)


def test_a_version_that_nobody_trusted_has_signed_is_refused_by_name(version: Version) -> None:
    for names, why in (((), "it has no signature"), (("eve",), "the key is not trusted")):
        signed = held_to(Versions(version, *names), Requirement.REQUIRE, Trusting("ann"))
        with pytest.raises(NotSigned, match=rf"team/x@1 is not signed .*{why}") as refused:
            signed(version)
        assert (refused.value.status, refused.value.reason) == ("FAILED_PRECONDITION", "NOT_SIGNED")


def test_a_good_signature_is_verified_once(version: Version) -> None:
    found = Versions(version, "eve", "ann")
    signed = held_to(found, Requirement.REQUIRE, Trusting("ann"))

    assert [signed(version) for _ in range(3)] == ["", "", ""]
    assert found.asked == 1


def test_a_key_that_is_removed_makes_its_versions_unsigned_at_their_next_use(version: Version) -> None:
    trust = Trusting("ann")
    signed = held_to(Versions(version, "ann"), Requirement.REQUIRE, trust)
    assert signed(version) == ""

    trust.keys = trusting("ben")

    with pytest.raises(NotSigned):
        signed(version)


def test_a_key_that_expires_ends_what_it_has_signed(version: Version) -> None:
    key, now, trust = key_of("ann").public, [NOW], Trusting()
    trust.keys = TrustedKeys({key.id: TrustedKey("ann", key, NOW + timedelta(hours=1))})
    policy = SignaturePolicy(Requirement.REQUIRE, trust, clock=lambda: now[0])
    signed = SignedVersions(Versions(version, "ann"), policy)
    assert signed(version) == ""

    now[0] = NOW + timedelta(hours=1)

    with pytest.raises(NotSigned, match="was trusted until"):
        signed(version)


def test_a_signature_that_comes_later_counts_within_a_second(version: Version) -> None:
    found, seconds = Versions(version), [0.0]
    signed = held_to(found, Requirement.REQUIRE, Trusting("ann"), lambda: seconds[0])
    for _ in range(3):
        with pytest.raises(NotSigned):
            signed(version)
    assert found.asked == 1

    found.bundles = (bundle(version, "ann"),)
    seconds[0] = 1.0

    assert signed(version) == ""


def test_a_warning_is_given_each_time_and_logged_once(
    version: Version, caplog: pytest.LogCaptureFixture
) -> None:
    signed = held_to(Versions(version), Requirement.WARN, Trusting("ann"))

    with caplog.at_level(logging.WARNING):
        told = [signed(version) for _ in range(2)]

    assert [text.startswith("team/x@1 is not signed") for text in told] == [True, True]
    assert len(caplog.messages) == 1


def test_where_nothing_is_required_nothing_is_asked(version: Version) -> None:
    found = Versions(version)

    assert held_to(found, Requirement.OFF, Trusting())(version) == ""
    assert found.asked == 0


def test_a_resolver_refuses_or_warns_of_each_version_by_itself(
    registry: FolderRegistry, version: Version, tmp_path: Path
) -> None:
    adapter = write_adapter(tmp_path / "second", Adapter(fill=2))
    second = registry.publish("team/x", adapter, small_publication(tmp_path))
    sign(registry, second, "ann")

    def bundles(version: Version) -> tuple[bytes, ...]:
        return tuple(each.bundle for each in registry.signatures(version.name, version.version))

    def resolver(requirement: Requirement) -> AdapterResolver:
        policy = SignaturePolicy(requirement, Trusting("ann"))
        base = version.manifest.contract.base
        return AdapterResolver(registry, base, 1, SignedVersions(bundles, policy))

    async def scenario() -> tuple[tuple[str, ...], tuple[str, ...]]:
        strict, mild = resolver(Requirement.REQUIRE), resolver(Requirement.WARN)
        try:
            with pytest.raises(NotSigned, match="team/x@1"):
                await strict.resolve("team/x@1")
            assert (await strict.resolve("team/x@2")).notices == ()
            assert (await strict.resolve("")).adapter is None
            first, second = await mild.resolve("team/x@1"), await mild.resolve("team/x@2")
            return first.warnings(None), second.warnings(None)
        finally:
            strict.close()
            mild.close()

    first, second_warnings = asyncio.run(scenario())
    assert ["team/x@1 is not signed" in text for text in first] == [True]
    assert second_warnings == ()
