"""One small run, whole, for the tests of what becomes of runs that are stopped."""

from pathlib import Path
from typing import Any

import pytest

from fakes.training import chat_rows, write_jsonl
from parfocal.training import TrainConfig, TrainResult, train


def settings_of(folder: Path, base: Path) -> dict[str, Any]:
    return {
        "data": write_jsonl(folder / "data.jsonl", chat_rows(70)),
        "name": "letters",
        "base": str(base),
        "output": folder / "run",
        "steps": 8,
        "evaluations": 3,
        "rank": 4,
        "dropout": 0.1,
        "batch_size": 4,
        "answers": 0,
        "probes": False,
    }


@pytest.fixture
def settings(base_folder: Path, tmp_path: Path) -> dict[str, Any]:
    return settings_of(tmp_path, base_folder)


@pytest.fixture(scope="session")
def shared(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The settings of the runs that several tests start from."""
    return settings_of(tmp_path_factory.mktemp("shared"), base_folder)


@pytest.fixture(scope="session")
def whole(shared: dict[str, Any]) -> TrainResult:
    """A run that nobody stopped."""
    return train(TrainConfig(**shared))
