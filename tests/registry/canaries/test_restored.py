"""A canary outlives the index that it was in, unless its version does not."""

from pathlib import Path

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import CanaryPlan, FolderRegistry, Publication, rebuild_folder
from parfocal.registry.keeping.restoring import mend
from parfocal.registry.values import EventKind, Standing


def test_a_history_with_a_canary_is_restored_with_it(tmp_path: Path, publication: Publication) -> None:
    path = tmp_path / "registry"
    registry = FolderRegistry(path)
    for number in (1, 2, 3):
        registry.publish("x", numbered_adapter(tmp_path, number), publication)
    registry.set_alias("x", "prod", 1)
    before = registry.set_canary("x", "prod", CanaryPlan(2, 700))
    del registry
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (path / name).unlink(missing_ok=True)
    rebuild_folder(path)
    again = FolderRegistry(path)
    assert again.aliases("x") == [before]
    assert again.verify_history().is_sound


def test_a_canary_whose_version_is_lost_ends(tmp_path: Path, publication: Publication) -> None:
    path = tmp_path / "registry"
    registry = FolderRegistry(path)
    digests = [registry.publish("x", numbered_adapter(tmp_path, n), publication).digest for n in (1, 2)]
    registry.set_alias("x", "prod", 1)
    registry.set_canary("x", "prod", CanaryPlan(2, 700))
    events = registry._index.events(0, 100)
    mended = mend(events, [digests[0]])
    assert mended.lost == ("x@2",)
    assert [event.kind for event in mended.events[-2:]] == [
        EventKind.VERSION_DELETED,
        EventKind.CANARY_ABORTED,
    ]
    assert Standing.after(mended.events).canaries == {}
