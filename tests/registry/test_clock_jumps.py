"""Clocks that jump by hours: what is kept, what is told, and in which order."""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fakes.registry.memory_blobs import MemoryBlobs
from fakes.registry.publisher import numbered_adapter
from parfocal.registry import Publication, StoredRegistry
from parfocal.registry.blobs import Blob, FolderBlobs
from parfocal.registry.copies import LocalCopies
from parfocal.registry.index.sqlite import SqliteIndex
from parfocal.registry.keeping import Collection, collect

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR_S = 3600.0
JUMP = timedelta(hours=9)
DIGEST = f"sha256:{7:064}"


@dataclass
class Clock:
    """A clock that goes as it is told."""

    time: datetime = NOON

    def __call__(self) -> datetime:
        return self.time

    def jump(self, by: timedelta) -> None:
        self.time += by


@dataclass
class ClockedBlobs(MemoryBlobs):
    """Blobs of a store with a clock of its own, each stored when that said so."""

    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        super().__init__()
        self.born: dict[str, datetime] = {}

    def moment(self) -> datetime:
        return self.clock()

    def stored(self) -> Iterator[Blob]:
        for blob in super().stored():
            yield replace(blob, stored_at=self.born.setdefault(blob.digest, self.clock()))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def index(tmp_path: Path, clock: Clock) -> SqliteIndex:
    return SqliteIndex(tmp_path / "index.sqlite", lambda: None, clock)


@pytest.fixture
def registry(tmp_path: Path, index: SqliteIndex) -> StoredRegistry:
    return StoredRegistry("clocked", index, FolderBlobs(tmp_path), [LocalCopies(tmp_path / "copies")])


@pytest.mark.parametrize("by", [JUMP, -JUMP], ids=["forward", "back"])
def test_history_keeps_the_order_in_which_it_happened_and_verifies(
    registry: StoredRegistry, clock: Clock, publication: Publication, tmp_path: Path, by: timedelta
) -> None:
    for number in (1, 2, 3):
        registry.publish("team/x", numbered_adapter(tmp_path, number), publication)
        registry.set_alias("team/x", "prod", number)
        clock.jump(by)
    assert [move.version for move in registry.alias_history("team/x", "prod")] == [3, 2, 1]
    assert [version.version for version in registry.versions("team/x").items] == [3, 2, 1]
    assert registry.resolve("team/x").version == 3
    assert registry.verify_history().is_sound
    assert registry.rollback_alias("team/x", "prod", 3).version == 2
    assert registry.verify_history().is_sound


def test_each_event_says_what_the_clock_said(
    index: SqliteIndex, registry: StoredRegistry, clock: Clock, publication: Publication, tmp_path: Path
) -> None:
    registry.publish("x", numbered_adapter(tmp_path, 1), publication)
    clock.jump(-JUMP)
    registry.set_alias("x", "prod", 1)
    registry.delete_alias("x", "prod")
    registry.delete_adapter("x")
    told = [event.happened_at for event in index.events(0, 10)]
    assert told == [NOON] + [NOON - JUMP] * 4
    assert registry.verify_history().is_sound


def test_a_lease_outlives_a_clock_that_goes_forward_and_comes_back(index: SqliteIndex, clock: Clock) -> None:
    index.lease("ann", [DIGEST], HOUR_S)
    clock.jump(JUMP)
    index.lease("ben", [f"sha256:{8:064}"], HOUR_S)  # which forgets what has ended
    assert index.leased("ann") == set()
    clock.jump(-JUMP)
    assert index.leased("ann") == {DIGEST}


def test_a_lease_is_not_lost_when_the_clock_goes_back(index: SqliteIndex, clock: Clock) -> None:
    index.lease("ann", [DIGEST], HOUR_S)
    clock.jump(-JUMP)
    assert index.leased() == {DIGEST}
    clock.jump(JUMP + timedelta(seconds=HOUR_S + 1))
    assert index.leased() == set()


def test_a_lease_of_a_clock_that_was_years_ahead_ends_within_a_month(
    index: SqliteIndex, clock: Clock
) -> None:
    clock.jump(timedelta(days=3650))
    index.lease("ann", [DIGEST], HOUR_S)
    clock.jump(timedelta(days=-3650))
    index.lease("ben", [], HOUR_S)
    assert index.leased() == {DIGEST}
    clock.jump(timedelta(days=31))
    assert index.leased() == set()


def test_no_lease_is_granted_for_longer_than_a_month(index: SqliteIndex, clock: Clock) -> None:
    index.lease("ann", [DIGEST], 10 * 365 * 24 * HOUR_S)
    clock.jump(timedelta(days=29))
    assert index.leased() == {DIGEST}
    clock.jump(timedelta(days=2))
    assert index.leased() == set()


Age = Callable[[Clock, Clock], None]


def _pass(here: Clock, there: Clock) -> None:
    here.jump(JUMP)
    there.jump(JUMP)


@pytest.mark.parametrize(
    ("age", "is_kept"),
    [
        (lambda here, there: here.jump(JUMP), True),
        (lambda here, there: here.jump(-JUMP), True),
        (lambda here, there: there.jump(-JUMP), True),
        (_pass, False),
    ],
    ids=["this machine's goes forward", "this machine's goes back", "the store's goes back", "time passes"],
)
def test_collection_takes_nothing_that_only_one_clock_calls_old(
    index: SqliteIndex, clock: Clock, tmp_path: Path, age: Age, is_kept: bool
) -> None:
    blobs = ClockedBlobs(clock=Clock())
    blob = blobs.put(io.BytesIO(b"stray"))
    list(blobs.stored())
    age(clock, blobs.clock)
    collect(index, blobs, LocalCopies(tmp_path / "c"), Collection(most=True, grace_s=HOUR_S), clock)
    assert (blobs.size(blob.digest) is not None) is is_kept


def test_a_folder_tells_the_time_that_its_files_are_stored_at(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    before = blobs.moment()
    blobs.put(io.BytesIO(b"x"))
    (blob,) = blobs.stored()
    after = blobs.moment()
    assert before is not None and after is not None and blob.stored_at is not None
    assert before <= blob.stored_at <= after
    assert list((tmp_path / "staging").iterdir()) == []
