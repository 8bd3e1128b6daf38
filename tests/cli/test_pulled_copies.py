"""What was pulled is the user's own: writing into it reaches no blob."""

import os
import resource
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter, small_publication
from fakes.registry.user_trouble import as_user
from parfocal.cli.commands.pull import pull
from parfocal.cli.failures import explain
from parfocal.registry import FolderRegistry


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A folder that other users may write into, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="this user may not become another")
def test_a_pulled_folder_can_be_written_and_shares_nothing(open_path: Path) -> None:
    publication, adapter = small_publication(open_path), numbered_adapter(open_path, 1)

    def write_into_it() -> dict[str, object]:
        registry = FolderRegistry(open_path / "registry")
        version = registry.publish("x", adapter, publication)
        shared = registry.materialise(version.digest) / "adapter_model.safetensors"
        pull("x", open_path / "pulled", str(open_path / "registry"))
        (open_path / "pulled" / "adapter_model.safetensors").write_bytes(b"mine")
        return {"links": shared.stat().st_nlink, "sound": registry.verify().is_sound}

    assert as_user(4001, 4001, write_into_it) == {"links": 2, "sound": True}


def test_a_pull_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    publication, adapter = small_publication(tmp_path), numbered_adapter(tmp_path, 1)
    registry = FolderRegistry(tmp_path / "registry")
    registry.materialise(registry.publish("x", adapter, publication).digest)
    (tmp_path / "here").mkdir()
    limit, largest = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, largest))

    try:
        with pytest.raises(OSError, match="too large") as failed:
            pull("x", tmp_path / "here" / "pulled", str(tmp_path / "registry"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, largest))

    assert list((tmp_path / "here").iterdir()) == []
    assert str(explain(failed.value)).startswith(str(tmp_path / "here"))


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_a_pull_never_writes_over_what_is_there(tmp_path: Path, kind: str) -> None:
    publication, adapter = small_publication(tmp_path), numbered_adapter(tmp_path, 1)
    FolderRegistry(tmp_path / "registry").publish("x", adapter, publication)
    target = tmp_path / "pulled"
    if kind == "folder":
        target.mkdir()
    elif kind == "file":
        target.touch()
    else:
        target.symlink_to("absent")

    with pytest.raises(FileExistsError, match="give a new folder"):
        pull("x", target, str(tmp_path / "registry"))
