"""A registry with a history, and an older copy of its index."""

import sqlite3
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import FolderRegistry, Publication


@pytest.fixture
def path(tmp_path: Path, publication: Publication) -> Path:
    """A registry with two names, three live versions, a deleted one, and aliases that moved."""
    registry = FolderRegistry(tmp_path / "registry")
    for number in (1, 2, 3):
        registry.publish("team/x", numbered_adapter(tmp_path, number), publication)
    registry.publish("solo", numbered_adapter(tmp_path, 1), publication)
    registry.set_alias("team/x", "prod", 1, actor="ann")
    registry.set_alias("team/x", "prod", 3, actor="ben")
    registry.set_alias("team/x", "old", 1)
    registry.delete_alias("team/x", "old")
    registry.delete_version("team/x", 2)
    return tmp_path / "registry"


@pytest.fixture
def older(path: Path, tmp_path: Path, publication: Publication) -> Path:
    """A copy of the index from before the last changes of the registry."""
    copy = tmp_path / "older.sqlite"
    source, target = sqlite3.connect(path / "index.sqlite"), sqlite3.connect(copy)
    source.backup(target)
    source.close()
    target.close()
    FolderRegistry(path).publish("late", numbered_adapter(tmp_path, 9), publication)
    return copy
