"""One small search, whole, for the tests of what becomes of searches."""

from pathlib import Path
from typing import Any

import pytest

from fakes.training import RecordingSearchWatcher, chat_rows, write_jsonl
from parfocal.training import SearchConfig, SearchResult, TrainConfig, tune
from parfocal.training.search import Choices

GRID = SearchConfig(
    {"rank": Choices((4, 2)), "learning_rate": Choices((1e-3, 8e-3))}, sampler="grid", pruner="none"
)


def settings_of(folder: Path, base: Path) -> dict[str, Any]:
    return {
        "data": write_jsonl(folder / "data.jsonl", chat_rows(70)),
        "name": "letters",
        "base": str(base),
        "output": folder / "search",
        "steps": 6,
        "evaluations": 3,
        "dropout": 0.1,
        "batch_size": 4,
        "answers": 0,
        "probes": False,
    }


@pytest.fixture(scope="session")
def shared(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The settings of every search here."""
    return settings_of(tmp_path_factory.mktemp("shared"), base_folder)


@pytest.fixture(scope="session")
def watched() -> RecordingSearchWatcher:
    """What the whole search told."""
    return RecordingSearchWatcher()


@pytest.fixture(scope="session")
def whole(shared: dict[str, Any], watched: RecordingSearchWatcher) -> SearchResult:
    """Four trials, none of which ends early, and nobody stops them."""
    config = TrainConfig(**shared | {"registry": str(shared["output"].with_name("registry"))})
    return tune(config, GRID, watched)
