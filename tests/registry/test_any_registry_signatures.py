"""What signatures are in every registry: kept beside the version, in order, each once, and told of."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest

from fakes.signing.signatures import bundle, key_of, sign, trusting
from parfocal.registry import FolderRegistry, Publication, Registry, Version
from parfocal.registry.errors import (
    AdapterNotFound,
    InvalidArgument,
    InvalidSignature,
    TooManySignatures,
    VersionNotFound,
)
from parfocal.registry.remote import RemoteRegistry
from parfocal.registry.signing import Signed, Signer, bundles_of, judge, signers
from parfocal.registry.values import MAX_SIGNATURES, EventKind, digest_of

Write = Callable[..., Path]


@pytest.fixture
def version(any_registry: Registry, adapter: Write, publication: Publication) -> Version:
    return any_registry.publish("team/x", adapter(fill=1), publication)


def who(registry: Registry, version: Version) -> tuple[str, ...]:
    """Those of ann and ben who have signed a version."""
    bundles = bundles_of(registry.signatures(version.name, version.version))
    now = version.created_at
    return signers(judge(Signed.of(version), bundles, trusting("ann", "ben"), now))


def test_a_new_version_has_no_signature(any_registry: Registry, version: Version) -> None:
    assert any_registry.signatures("team/x", 1) == ()


def test_signatures_are_kept_in_their_order_with_who_added_them(
    any_registry: Registry, version: Version
) -> None:
    added = [sign(any_registry, version, name) for name in ("ben", "ann", "eve")]

    found = any_registry.signatures("team/x", 1)

    assert found == tuple(added)
    assert [each.actor for each in found] == ["ben", "ann", "eve"]
    assert all(each.digest == digest_of(each.bundle) for each in found)
    assert who(any_registry, version) == ("ben", "ann")


def test_a_signature_is_there_once_however_often_it_is_added(
    any_registry: Registry, version: Version
) -> None:
    first = sign(any_registry, version, "ann")

    assert sign(any_registry, version, "ann") == first
    assert any_registry.signatures("team/x", 1) == (first,)


def test_a_signature_belongs_to_one_version(
    any_registry: Registry, version: Version, adapter: Write, publication: Publication
) -> None:
    second = any_registry.publish("team/x", adapter(fill=2), publication)
    sign(any_registry, version, "ann")

    assert any_registry.signatures("team/x", 2) == ()
    with pytest.raises(InvalidSignature, match="not of"):
        any_registry.add_signature("team/x", 2, bundle(version, "ann"))
    assert who(any_registry, second) == ()


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff", b"[" * 100])
def test_what_is_no_bundle_is_not_kept(any_registry: Registry, version: Version, data: bytes) -> None:
    with pytest.raises(InvalidSignature):
        any_registry.add_signature("team/x", 1, data)
    assert any_registry.signatures("team/x", 1) == ()


def test_what_does_not_exist_has_no_signatures(any_registry: Registry, version: Version) -> None:
    with pytest.raises(VersionNotFound):
        any_registry.signatures("team/x", 2)
    with pytest.raises(AdapterNotFound):
        any_registry.signatures("team/nobody", 1)
    with pytest.raises(VersionNotFound):
        any_registry.add_signature("team/x", 2, bundle(version, "ann"))
    with pytest.raises(InvalidArgument):
        any_registry.signatures("team/x", 0)


def test_a_version_can_be_signed_as_it_is_published(
    any_registry: Registry, adapter: Write, publication: Publication
) -> None:
    signer = Signer(key_of("ann"))

    version = any_registry.publish("team/x", adapter(fill=1), replace(publication, sign=signer.sign))

    assert who(any_registry, version) == ("ann",)


def test_content_that_is_there_gets_the_signatures_that_it_is_published_with(
    any_registry: Registry, version: Version, adapter: Write, publication: Publication
) -> None:
    sign(any_registry, version, "ben")

    again = any_registry.publish(
        "team/x", adapter(fill=1), replace(publication, sign=Signer(key_of("ann")).sign)
    )

    assert again.version == 1
    assert who(any_registry, version) == ("ben", "ann")


def test_what_is_published_with_another_versions_signature_is_not_published(
    any_registry: Registry, version: Version, adapter: Write, publication: Publication
) -> None:
    with_other = replace(publication, signatures=(bundle(version, "ann"),))

    with pytest.raises(InvalidSignature, match="not of what is published as team/x"):
        any_registry.publish("team/x", adapter(fill=2), with_other)
    assert any_registry.resolve("team/x").version == 1


def test_a_signature_is_an_event_with_its_digest(any_registry: Registry, version: Version) -> None:
    watch = any_registry.watch()
    added = sign(any_registry, version, "ann")

    (event,) = islice(watch, 1)
    watch.close()

    assert (event.kind, event.name, event.version) == (EventKind.VERSION_SIGNED, "team/x", 1)
    assert (event.digest, event.actor) == (added.digest, "ann")


def test_a_deleted_versions_signatures_are_gone(any_registry: Registry, version: Version) -> None:
    sign(any_registry, version, "ann")
    any_registry.delete_version("team/x", 1)

    with pytest.raises(VersionNotFound):
        any_registry.signatures("team/x", 1)


def test_a_version_has_so_many_signatures_and_no_more(any_registry: Registry, version: Version) -> None:
    for number in range(MAX_SIGNATURES):
        sign(any_registry, version, f"one of many {number}")

    with pytest.raises(TooManySignatures, match=f"at most {MAX_SIGNATURES}"):
        sign(any_registry, version, "one too many")
    assert len(any_registry.signatures("team/x", 1)) == MAX_SIGNATURES


def test_a_signature_that_is_lost_does_not_hide_the_others(
    registry: FolderRegistry, remote: RemoteRegistry, adapter: Write, publication: Publication
) -> None:
    version = registry.publish("team/x", adapter(fill=1), publication)
    for name in ("ben", "ann"):
        sign(registry, version, name)
    with closing(sqlite3.connect(registry.path / "index.sqlite")) as index, index:
        index.execute("UPDATE signatures SET bundle = x'' WHERE actor = 'ben'")

    assert who(remote, version) == who(registry, version) == ("ann",)
