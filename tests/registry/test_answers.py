"""A registry remembers what references mean only while nothing changes, whoever it is that changes it."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.registry.memory_blobs import MemoryBlobs
from fakes.registry.memory_index import MemoryIndex
from parfocal.registry import FolderRegistry, Publication, StoredRegistry, Version
from parfocal.registry.copies import LocalCopies
from parfocal.registry.errors import AliasNotFound, VersionNotFound

Write = Callable[..., Path]
MOVE_ELSEWHERE = """
import sys
from pathlib import Path
from parfocal.registry import FolderRegistry
FolderRegistry(Path(sys.argv[1])).set_alias("team/x", "prod", int(sys.argv[2]))
"""


class CountingIndex(MemoryIndex):
    """Counts look-ups of aliases."""

    def __init__(self) -> None:
        super().__init__()
        self.look_ups = 0
        self.is_told = True

    def moment(self) -> object | None:
        return super().moment() if self.is_told else None

    def target(self, name: str, alias: str) -> Version:
        self.look_ups += 1
        return super().target(name, alias)


@pytest.fixture
def counted(tmp_path: Path, adapter: Write, publication: Publication) -> tuple[CountingIndex, StoredRegistry]:
    index = CountingIndex()
    registry = StoredRegistry("memory", index, MemoryBlobs(), [LocalCopies(tmp_path / "copies")])
    registry.publish("team/x", adapter(fill=1), publication)
    registry.publish("team/x", adapter(fill=2), publication)
    registry.set_alias("team/x", "prod", 1)
    return index, registry


def test_an_unchanged_index_is_asked_once(counted: tuple[CountingIndex, StoredRegistry]) -> None:
    index, registry = counted
    assert [registry.resolve("team/x@prod").version for _ in range(5)] == [1] * 5
    assert index.look_ups == 1


def test_an_index_that_cannot_tell_is_asked_every_time(
    counted: tuple[CountingIndex, StoredRegistry],
) -> None:
    index, registry = counted
    index.is_told = False
    assert [registry.resolve("team/x@prod").version for _ in range(3)] == [1] * 3
    assert index.look_ups == 3


def test_what_another_process_moves_counts_from_the_next_request_on(
    registry: FolderRegistry, adapter: Write, publication: Publication, tmp_path: Path
) -> None:
    for fill in (1, 2):
        registry.publish("team/x", adapter(fill=fill), publication)
    registry.set_alias("team/x", "prod", 1)
    for version in (2, 1, 2):
        subprocess.run(
            [sys.executable, "-c", MOVE_ELSEWHERE, str(tmp_path / "registry"), str(version)], check=True
        )
        assert registry.resolve("team/x@prod").version == version


def test_what_is_deleted_means_nothing_any_more(
    registry: FolderRegistry, adapter: Write, publication: Publication
) -> None:
    registry.publish("team/x", adapter(fill=1), publication)
    registry.set_alias("team/x", "prod", 1)
    assert registry.resolve("team/x@prod") == registry.resolve("team/x@1")
    registry.delete_alias("team/x", "prod")
    with pytest.raises(AliasNotFound):
        registry.resolve("team/x@prod")
    registry.delete_version("team/x", 1)
    with pytest.raises(VersionNotFound):
        registry.resolve("team/x@1")


@given(moves=st.lists(st.tuples(st.integers(0, 1), st.integers(1, 2)), max_size=8))
def test_two_who_share_a_folder_always_see_the_last_move(shared: Path, moves: list[tuple[int, int]]) -> None:
    both = (FolderRegistry(shared), FolderRegistry(shared))
    for mover, version in moves:
        both[mover].set_alias("team/x", "prod", version)
        assert [one.resolve("team/x@prod").version for one in both] == [version, version]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with two versions of an adapter."""
    from fakes.registry.peft_folders import Adapter, write_adapter, write_base
    from parfocal.registry import describe_base, locate_base

    folder = tmp_path_factory.mktemp("shared")
    contract = describe_base(locate_base(str(write_base(folder / "base")), weights=False))
    registry = FolderRegistry(folder / "registry")
    for fill in (1, 2):
        registry.publish(
            "team/x", write_adapter(folder / f"adapter-{fill}", Adapter(fill=fill)), Publication(contract)
        )
    return folder / "registry"
