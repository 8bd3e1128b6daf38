"""A registry that a server follows: moves are prefetched, and its absence stops nothing that is known."""

import json
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from fakes.registry.registry_server import serving_aside
from fakes.signing.signatures import sign
from parfocal.registry import CanaryPlan, FolderRegistry, Publication
from parfocal.registry.errors import AliasNotFound, BlobCorrupt, VersionNotFound
from parfocal.registry.remote import FollowedRegistry, RemoteRegistry
from parfocal.rpc import RemoteError

Write = Callable[..., Path]
LONG_S = 60.0


class Gated(RemoteRegistry):
    """Fetches only while its gate is open; counts what is asked."""

    def __init__(self, location: str, cache: Path) -> None:
        super().__init__(location, cache=cache)
        self.opening = threading.Event()
        self.opening.set()
        self.asked = 0
        self.spoilt: set[str] = set()

    def resolve(self, reference: str):  # type: ignore[no-untyped-def]
        self.asked += 1
        return super().resolve(reference)

    def materialise(self, digest: str) -> Path:
        assert self.opening.wait(LONG_S)
        if digest in self.spoilt:
            raise BlobCorrupt("spoilt on the way", digest=digest)
        return super().materialise(digest)


class Place:
    """A registry's process that can be stopped and started again at one address, and its folder."""

    def __init__(self, path: Path, socket: Path) -> None:
        self.path = path
        self.address = f"unix:{socket}"
        self.registry = FolderRegistry(path / "registry")
        self._running = ExitStack()

    def start(self, folder: str = "registry") -> None:
        aside = serving_aside(self.path / folder, self.path / "uploads", self.address)
        self._running.enter_context(aside)

    def stop(self) -> None:
        self._running.close()


@pytest.fixture
def place(tmp_path: Path, open_path: Path, adapter: Write, publication: Publication) -> Iterator[Place]:
    found = Place(tmp_path, open_path / "r.sock")
    for fill in (1, 2):
        found.registry.publish("team/x", adapter(fill=fill), publication)
    found.registry.set_alias("team/x", "prod", 1)
    found.start()
    yield found
    found.stop()


@contextmanager
def following(place: Place, switch_s: float = LONG_S) -> Iterator[tuple[FollowedRegistry, Gated]]:
    remote = Gated(f"grpc://{place.address}", place.path / "cache")
    followed = FollowedRegistry(remote, "grpc://there", place.path / "known.json", switch_s, signatures=True)
    followed.start(LONG_S)
    try:
        yield followed, remote
    finally:
        remote.opening.set()
        followed.close()


def until(holds: Callable[[], bool]) -> None:
    """Waits for what another thread will have done."""
    waiting = threading.Event()
    for _ in range(int(LONG_S / 0.02)):
        if holds():
            return
        waiting.wait(0.02)
    raise AssertionError("it never came to hold")


def version_of(followed: FollowedRegistry, reference: str = "team/x@prod") -> int:
    return followed.resolve(reference).version


def test_a_reference_that_is_known_asks_the_registry_no_more(place: Place) -> None:
    with following(place) as (followed, remote):
        assert [version_of(followed) for _ in range(10)] == [1] * 10
        assert remote.asked == 1
        assert followed.staleness_s() == 0


def test_a_moved_alias_is_answered_as_before_until_the_new_files_are_here(place: Place) -> None:
    with following(place) as (followed, remote):
        assert version_of(followed) == 1
        remote.opening.clear()
        place.registry.set_alias("team/x", "prod", 2)
        until(lambda: followed.staleness_s() > 0)
        assert version_of(followed) == 1
        remote.opening.set()
        until(lambda: version_of(followed) == 2)
        place.stop()
        assert (followed.materialise(followed.resolve("team/x@prod").digest) / "adapter_config.json").exists()


def test_a_fetch_that_takes_too_long_holds_no_move_up_for_ever(place: Place) -> None:
    with following(place, switch_s=0.0) as (followed, remote):
        assert version_of(followed) == 1
        remote.opening.clear()
        place.registry.set_alias("team/x", "prod", 2)
        until(lambda: version_of(followed) == 2)


def test_a_move_that_is_undone_while_it_is_fetched_changes_nothing(place: Place) -> None:
    with following(place) as (followed, remote):
        assert version_of(followed) == 1
        remote.opening.clear()
        place.registry.set_alias("team/x", "prod", 2)
        until(lambda: followed.staleness_s() > 0)
        place.registry.rollback_alias("team/x", "prod", 2)
        until(lambda: followed.staleness_s() == 0)
        remote.opening.set()
        followed.materialise(place.registry.resolve("team/x@2").digest)
        assert version_of(followed) == 1


def test_a_version_that_cannot_be_verified_replaces_none(place: Place) -> None:
    with following(place, switch_s=0.0) as (followed, remote):
        assert version_of(followed) == 1
        remote.spoilt.add(place.registry.resolve("team/x@2").digest)
        place.registry.set_alias("team/x", "prod", 2)
        until(lambda: followed.staleness_s() > 0.6)
        assert version_of(followed) == 1


def begin_canary(place: Place, weight: int = 5000) -> None:
    place.registry.set_canary("team/x", "prod", CanaryPlan(2, weight))


def weight_of(followed: FollowedRegistry) -> int:
    """What share of `prod` its canary gets, as far as the follower says."""
    canary = followed.resolve("team/x@prod").canary
    return 0 if canary is None else canary.weight


def test_a_canary_gets_nothing_before_its_files_are_here(place: Place) -> None:
    with following(place) as (followed, remote):
        assert version_of(followed) == 1
        remote.opening.clear()
        begin_canary(place)
        until(lambda: followed.staleness_s() > 0)
        assert weight_of(followed) == 0
        remote.opening.set()
        until(lambda: weight_of(followed) == 5000)
        place.stop()
        second = followed.resolve("team/x@2")
        assert (version_of(followed), second.version) == (1, 2)
        assert (followed.materialise(second.digest) / "adapter_config.json").exists()


def test_a_canary_that_was_there_before_can_be_answered_without_the_registry(place: Place) -> None:
    begin_canary(place)
    with following(place) as (followed, _):
        assert weight_of(followed) == 5000
        place.stop()
        until(lambda: followed.staleness_s() > 0)
        assert followed.resolve("team/x@2").version == 2
        assert followed.resolve("team/x@1").canary is None


def test_a_canary_that_cannot_be_verified_gets_nothing(place: Place) -> None:
    with following(place, switch_s=0.0) as (followed, remote):
        assert version_of(followed) == 1
        remote.spoilt.add(place.registry.resolve("team/x@2").digest)
        begin_canary(place)
        until(lambda: followed.staleness_s() > 0.6)
        assert (version_of(followed), weight_of(followed)) == (1, 0)


def test_a_canary_that_grows_and_ends_is_followed(place: Place) -> None:
    with following(place) as (followed, _):
        assert version_of(followed) == 1
        begin_canary(place)
        until(lambda: weight_of(followed) == 5000)
        begin_canary(place, 9000)
        until(lambda: weight_of(followed) == 9000)
        (alias,) = place.registry.aliases("team/x")
        assert alias.canary is not None
        place.registry.abort_canary("team/x", "prod", alias.canary.number)
        until(lambda: weight_of(followed) == 0)
        assert version_of(followed) == 1


def test_what_is_known_of_a_canary_outlives_the_server_that_follows(place: Place) -> None:
    begin_canary(place)
    with following(place) as (followed, _):
        canary = followed.resolve("team/x@prod").canary
        for number in (1, 2):
            followed.materialise(followed.resolve(f"team/x@{number}").digest)
    place.stop()
    with following(place) as (again, _):
        assert again.resolve("team/x@prod").canary == canary
        assert again.resolve("team/x@2").version == 2


def test_what_is_known_is_served_while_the_registry_is_away_and_then_follows_it(place: Place) -> None:
    with following(place) as (followed, _):
        assert version_of(followed) == 1
        followed.materialise(followed.resolve("team/x@prod").digest)
        place.stop()
        until(lambda: followed.staleness_s() > 0)
        assert version_of(followed) == version_of(followed, "team/x@1") == 1
        followed.materialise(followed.resolve("team/x@prod").digest)
        with pytest.raises(RemoteError):
            followed.resolve("team/x@2")

        place.registry.set_alias("team/x", "prod", 2)  # by somebody who reaches the folder
        place.start()
        until(lambda: version_of(followed) == 2 and followed.staleness_s() == 0)


def test_what_is_known_outlives_the_server_that_follows(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with following(place) as (followed, _):
        followed.materialise(followed.resolve("team/x@prod").digest)
    place.stop()
    with caplog.at_level(logging.WARNING), following(place) as (again, _):
        assert version_of(again) == 1
        again.materialise(again.resolve("team/x@prod").digest)
        assert again.staleness_s() > 0
    assert "1 references, is served on" in caplog.text


def test_a_deleted_alias_is_answered_no_more(place: Place) -> None:
    with following(place) as (followed, _):
        assert version_of(followed) == 1
        place.registry.delete_alias("team/x", "prod")

        def is_gone() -> bool:
            try:
                version_of(followed)
            except AliasNotFound:
                return True
            return False

        until(is_gone)


def test_a_registry_that_came_back_empty_takes_nothing_away(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with following(place) as (followed, _):
        assert version_of(followed) == 1
        place.stop()
        until(lambda: followed.staleness_s() > 0)
        place.start("another")
        until(lambda: followed.staleness_s() == 0)
        assert version_of(followed) == 1
    assert "has lost a part of its history" in caplog.text


def test_a_spoilt_file_of_what_was_known_is_as_none(place: Place) -> None:
    for spoilt in (b"", b"[]", b'{"schema": 1}', json.dumps({"schema": 1, "registry": 3}).encode()):
        (place.path / "known.json").write_bytes(spoilt)
        with following(place) as (followed, _):
            assert version_of(followed) == 1


def test_an_unknown_version_is_refused_by_the_registry(place: Place) -> None:
    with following(place) as (followed, _), pytest.raises(VersionNotFound):
        followed.resolve("team/x@9")


def test_signatures_that_were_heard_of_count_while_the_registry_is_away_and_after_a_restart(
    place: Place,
) -> None:
    with following(place) as (followed, _):
        version = followed.resolve("team/x@prod")
        assert followed.bundles(version) == ()
        added = sign(place.registry, version, "ann")
        assert followed.bundles(version) == (added.bundle,)
        place.stop()
        assert followed.bundles(version) == (added.bundle,)
    with following(place) as (followed, _):
        assert followed.bundles(followed.resolve("team/x@prod")) == (added.bundle,)


def test_what_an_alias_moved_to_is_known_with_its_signatures_though_the_registry_goes_away(
    place: Place,
) -> None:
    with following(place) as (followed, _):
        assert version_of(followed) == 1
        added = sign(place.registry, place.registry.resolve("team/x@2"), "ann")
        place.registry.set_alias("team/x", "prod", 2)
        until(lambda: version_of(followed) == 2)
        place.stop()
        assert followed.bundles(followed.resolve("team/x@prod")) == (added.bundle,)


def test_kept_signatures_that_were_spoilt_are_as_none(place: Place) -> None:
    with following(place) as (followed, _):
        version = followed.resolve("team/x@prod")
        added = sign(place.registry, version, "ann")
        assert followed.bundles(version) == (added.bundle,)
        (kept,) = place.path.glob("cache/**/signatures/*")
        kept.write_bytes(b"\xff no base64")
        assert followed.bundles(version) == (added.bundle,)
        kept.write_bytes(b"\xff no base64")
        place.stop()
        assert followed.bundles(version) == ()
