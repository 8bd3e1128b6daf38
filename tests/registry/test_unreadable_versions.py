"""A version that nobody can read stops nothing but itself, however it came into the registry."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fakes.registry.planted import SPOILS, plant, rot_in_the_index
from fakes.registry.publisher import numbered_adapter, small_publication
from fakes.registry.registry_server import serving
from parfocal.registry import FolderRegistry, back_up, rebuild_folder
from parfocal.registry.errors import IndexCorrupt, RegistryTooNew
from parfocal.registry.remote import RemoteRegistry

Held = Callable[[], set[str]]


@pytest.fixture(params=[*SPOILS])
def planted(request: pytest.FixtureRequest, tmp_path: Path) -> FolderRegistry:
    return plant(tmp_path, SPOILS[request.param])


@pytest.fixture
def held(tmp_path: Path) -> Held:
    return lambda: {path.name for path in tmp_path.glob("registry/blobs/sha256/*/*")}


@pytest.fixture
def planted_far_away(planted: FolderRegistry, tmp_path: Path) -> Iterator[RemoteRegistry]:
    with serving(planted, tmp_path / "uploads") as address:
        yield RemoteRegistry(f"grpc://{address}", cache=tmp_path / "cache")


def test_it_is_refused_by_name_and_the_refusal_tells_how_to_be_rid_of_it(planted: FolderRegistry) -> None:
    for reference in ("x@2", "x@bad"):
        with pytest.raises((IndexCorrupt, RegistryTooNew)) as refused:
            planted.resolve(reference)
        assert "x@2" in str(refused.value) or "upgrade" in str(refused.value)


def test_every_list_has_it_and_its_neighbours(planted: FolderRegistry) -> None:
    assert [summary.name for summary in planted.adapters().items] == ["x", "y"]
    found = planted.versions("x").items
    assert [(version.version, version.fault is None) for version in found] == [
        (3, True),
        (2, False),
        (1, True),
    ]
    assert planted.aliases("x")[0].version == 2
    assert len(planted.alias_moves("x").items) == 2
    assert planted.resolve("x").version == 3
    assert planted.resolve("x@prod").version == 1


def test_a_client_is_sent_what_is_stored(planted: FolderRegistry, planted_far_away: RemoteRegistry) -> None:
    here, there = planted.versions("x").items, planted_far_away.versions("x").items
    assert here == there
    assert [version.fault is None for version in there] == [True, False, True]
    with pytest.raises((IndexCorrupt, RegistryTooNew)):
        planted_far_away.resolve("x@2")
    assert planted_far_away.resolve("x@3") == here[0]


def test_collection_keeps_whatever_it_may_need_and_says_so(planted: FolderRegistry, held: Held) -> None:
    before = held()
    garbage = planted.collect_garbage()
    assert garbage.unreadable == ("x@2",)
    assert held() == before


def test_it_can_be_deleted_and_then_its_files_are_freed(planted: FolderRegistry) -> None:
    planted.delete_alias("x", "bad")
    planted.delete_version("x", 2)
    garbage = planted.collect_garbage()
    assert garbage.freed_bytes > 0
    assert garbage.unreadable == ()
    assert planted.verify().is_sound


def test_an_adapter_with_it_can_be_deleted_whole(planted: FolderRegistry) -> None:
    planted.delete_adapter("x", force=True)
    assert [summary.name for summary in planted.adapters().items] == ["y"]
    assert planted.verify().is_sound


def test_verification_names_it_and_reads_its_files(planted: FolderRegistry) -> None:
    found = planted.verify()
    [problem] = found.problems
    assert "the manifest of x@2 cannot be read" in problem
    assert found.bad == ()


def test_a_backup_holds_it_as_it_is(planted: FolderRegistry, tmp_path: Path) -> None:
    copied = back_up(planted, tmp_path / "backup")
    assert (copied.unreadable, copied.bad, copied.versions) == (("x@2",), (), 4)
    backup = FolderRegistry(tmp_path / "backup")
    assert backup.versions("x").items == planted.versions("x").items
    assert backup.verify().problems == planted.verify().problems


@pytest.mark.parametrize("spoil", SPOILS)
def test_a_rebuilt_index_has_it_and_everything_else(tmp_path: Path, spoil: str) -> None:
    path = tmp_path / "registry"
    before = plant(tmp_path, SPOILS[spoil]).versions("x").items
    (path / "index.sqlite").unlink()
    for beside in path.glob("index.sqlite-*"):
        beside.unlink()
    rebuilt = rebuild_folder(path).rebuilt
    assert (rebuilt.versions, rebuilt.aliases, rebuilt.lost) == (4, 2, ())
    assert FolderRegistry(path).versions("x").items == before


def test_publishing_goes_on_beside_it(planted: FolderRegistry, tmp_path: Path) -> None:
    publication = small_publication(tmp_path)
    assert planted.publish("x", numbered_adapter(tmp_path, 9), publication).version == 4
    assert planted.resolve("x").version == 4


def test_what_rots_in_the_index_is_collected_by_what_its_blob_says(tmp_path: Path, held: Held) -> None:
    registry = plant(tmp_path, SPOILS["a later schema"])
    registry.delete_alias("x", "bad")
    registry.delete_version("x", 2)
    registry.collect_garbage()
    before = held()
    rot_in_the_index(registry, "x", 3)
    assert registry.versions("x").items[0].fault
    assert registry.collect_garbage().blobs == ()
    assert held() == before


def test_nothing_is_collected_while_nobody_can_say_what_a_version_needs(tmp_path: Path, held: Held) -> None:
    registry = plant(tmp_path, SPOILS["a later schema"])
    rotten = registry.resolve("x@3")
    registry.delete_version("y", 1)
    rot_in_the_index(registry, "x", 3)
    (tmp_path / "registry/blobs/sha256" / rotten.digest[7:9] / rotten.digest[7:]).unlink()
    before = held()
    garbage = registry.collect_garbage()
    assert (garbage.blobs, garbage.unreadable) == ((), ("x@2", "x@3"))
    assert held() == before
