"""What a registry asks for: an alias moves, and a version is published, only with a signature that counts."""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.memory_blobs import MemoryBlobs
from fakes.registry.memory_index import MemoryIndex
from fakes.signing.signatures import Trusting, key_of, policy, sign, trusting
from parfocal.registry import Alias, CanaryPlan, Publication, StoredRegistry
from parfocal.registry.copies import LocalCopies
from parfocal.registry.errors import NotSigned
from parfocal.registry.index import Terms
from parfocal.registry.signing import Requirement, Signer

Write = Callable[..., Path]


@pytest.fixture
def versions(any_storage: StoredRegistry, adapter: Write, publication: Publication) -> StoredRegistry:
    """Three versions of team/x: ann has signed the first, eve the second, nobody the third."""
    for fill in (1, 2, 3):
        any_storage.publish("team/x", adapter(fill=fill), publication)
    sign(any_storage, any_storage.resolve("team/x@1"), "ann")
    sign(any_storage, any_storage.resolve("team/x@2"), "eve")
    return any_storage


def test_an_alias_moves_only_to_what_a_trusted_key_has_signed(versions: StoredRegistry) -> None:
    versions.hold_to(policy(Requirement.REQUIRE, "ann"))

    assert versions.set_alias("team/x", "prod", 1).version == 1
    with pytest.raises(NotSigned, match=r"team/x@2 is not signed .*: the key is not trusted"):
        versions.set_alias("team/x", "prod", 2)
    with pytest.raises(NotSigned, match=r"team/x@3 is not signed .*it has no signature"):
        versions.set_alias("team/x", "prod", 3)
    assert versions.resolve("team/x@prod").version == 1


def test_an_alias_gets_only_a_canary_that_a_trusted_key_has_signed(versions: StoredRegistry) -> None:
    versions.set_alias("team/x", "prod", 3)
    versions.hold_to(policy(Requirement.REQUIRE, "ann"))

    with pytest.raises(NotSigned, match="team/x@2"):
        versions.set_canary("team/x", "prod", CanaryPlan(2, 700))
    begun = versions.set_canary("team/x", "prod", CanaryPlan(1, 700))
    assert versions.promote_canary(begun).version == 1


def test_a_version_that_is_signed_later_can_be_moved_to(versions: StoredRegistry) -> None:
    versions.hold_to(policy(Requirement.REQUIRE, "ann"))
    sign(versions, versions.resolve("team/x@3"), "ann")

    assert versions.set_alias("team/x", "prod", 3).version == 3


def test_a_rollback_leads_only_to_what_is_signed(versions: StoredRegistry) -> None:
    for number in (3, 2, 1):
        versions.set_alias("team/x", "prod", number)
    versions.hold_to(policy(Requirement.REQUIRE, "ann", "eve"))

    assert versions.rollback_alias("team/x", "prod", 1).version == 2
    with pytest.raises(NotSigned, match="team/x@3"):
        versions.rollback_alias("team/x", "prod", 2)
    assert versions.resolve("team/x@prod").version == 2


def test_a_key_that_is_trusted_no_more_has_signed_nothing(versions: StoredRegistry) -> None:
    trust = Trusting("ann")
    versions.hold_to(policy(Requirement.REQUIRE, trust=trust))
    versions.set_alias("team/x", "prod", 1)

    trust.keys = trusting("ben")

    with pytest.raises(NotSigned):
        versions.set_alias("team/x", "next", 1)


def test_a_warning_lets_everything_happen_and_is_logged(
    versions: StoredRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    versions.hold_to(policy(Requirement.WARN, "ann"))

    with caplog.at_level(logging.WARNING):
        versions.set_alias("team/x", "prod", 1)
        assert caplog.messages == []
        versions.set_alias("team/x", "prod", 3)
    assert ["team/x@3 is not signed" in message for message in caplog.messages] == [True]


def test_nothing_unsigned_is_published_where_signatures_are_asked_for_then(
    versions: StoredRegistry, adapter: Write, publication: Publication
) -> None:
    versions.hold_to(policy(Requirement.REQUIRE, "ann", at_publishing=True))
    by = {name: replace(publication, sign=Signer(key_of(name)).sign) for name in ("ann", "eve")}

    with pytest.raises(NotSigned, match="what is published as team/x is not signed"):
        versions.publish("team/x", adapter(fill=4), publication)
    with pytest.raises(NotSigned, match="the key is not trusted"):
        versions.publish("team/x", adapter(fill=4), by["eve"])
    assert versions.resolve("team/x").version == 3
    assert versions.publish("team/x", adapter(fill=4), by["ann"]).version == 4


def test_what_is_there_and_signed_can_be_published_again(
    versions: StoredRegistry, adapter: Write, publication: Publication
) -> None:
    versions.hold_to(policy(Requirement.REQUIRE, "ann", at_publishing=True))

    assert versions.publish("team/x", adapter(fill=1), publication).version == 1
    with pytest.raises(NotSigned):
        versions.publish("team/x", adapter(fill=3), publication)


def test_where_only_aliases_are_held_to_it_anything_is_published(
    versions: StoredRegistry, adapter: Write, publication: Publication
) -> None:
    versions.hold_to(policy(Requirement.REQUIRE, "ann"))

    assert versions.publish("team/x", adapter(fill=4), publication).version == 4


class Overtaken(MemoryIndex):
    """An index in which something happens just before an alias is rolled back."""

    def __init__(self) -> None:
        super().__init__()
        self.before: list[Callable[[], object]] = []

    def roll_back_alias(self, name: str, alias: str, actor: str, terms: Terms) -> Alias:
        if self.before:
            self.before.pop()()
        return super().roll_back_alias(name, alias, actor, terms)


def test_a_rollback_that_leads_elsewhere_meanwhile_is_held_to_what_it_leads_to(
    adapter: Write, publication: Publication, tmp_path: Path
) -> None:
    index = Overtaken()
    behind = StoredRegistry("behind", index, MemoryBlobs(), [LocalCopies(tmp_path / "copies")])
    for number in (1, 2, 3):
        behind.publish("team/x", adapter(fill=number), publication)
        behind.set_alias("team/x", "prod", number)
    sign(behind, behind.resolve("team/x@2"), "ann")
    behind.hold_to(policy(Requirement.REQUIRE, "ann"))
    index.before.append(lambda: behind.delete_version("team/x", 2))

    with pytest.raises(NotSigned, match="team/x@1"):
        behind.rollback_alias("team/x", "prod", 3)
    assert behind.resolve("team/x@prod").version == 3
