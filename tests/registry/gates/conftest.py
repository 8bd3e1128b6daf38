"""Versions with recorded evaluations, for gates to look at."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from fakes.registry.publisher import numbered_adapter
from parfocal.registry import Evaluation, Publication, Registry, Version

ROWS = "sha256:" + "1" * 64
Publish = Callable[..., Version]


@pytest.fixture
def publish(publication: Publication, tmp_path: Path) -> Publish:
    """Returns a function that publishes the next version of `team/x`, with these metrics on these rows."""
    count = 0

    def one(registry: Registry, rows: str = ROWS, **metrics: float) -> Version:
        nonlocal count
        count += 1
        evaluation = Evaluation(rows, 100, metrics) if metrics else None
        folder = numbered_adapter(tmp_path, count)
        return registry.publish("team/x", folder, replace(publication, evaluation=evaluation))

    return one
