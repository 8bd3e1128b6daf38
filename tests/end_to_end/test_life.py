"""The whole life of an adapter on real parts: train, publish, serve, mix, swap, watch."""

import dataclasses
from pathlib import Path

import pytest

from parfocal.bench.servers.process import server_process
from parfocal.cli.demonstration.figures import Metrics, metrics_url
from parfocal.cli.demonstration.lessons import MEMO, SUPPORT, Lesson, Lessons, full_lessons
from parfocal.cli.demonstration.stage import Stage
from parfocal.cli.demonstration.tour import Tour
from parfocal.cli.demonstration.watching import StepBar
from parfocal.registry import FolderRegistry


def _short(lesson: Lesson) -> Lesson:
    """The same lesson over in three steps: enough to differ from the base, not to be any good."""
    data = dataclasses.replace(
        lesson.data, training=lesson.data.training[:48], held_out=lesson.data.held_out[:16]
    )
    recipe = dataclasses.replace(lesson.recipe, steps=3, batch_size=8)
    return dataclasses.replace(lesson, data=data, recipe=recipe)


@pytest.fixture
def lessons() -> Lessons:
    full = full_lessons()
    return Lessons(_short(full.support), _short(full.memo), _short(full.revised_memo))


def test_a_version_takes_over_while_requests_run(lessons: Lessons, tmp_path: Path) -> None:
    stage = Stage()
    tour = Tour(stage, tmp_path, StepBar(stage.console), lessons)
    log = tmp_path / "server.log"
    settings = {
        "base": "tiny",
        "registry": str(tmp_path / "registry"),
        "grpc_address": "127.0.0.1:0",
        "http_address": "127.0.0.1:0",
        "metrics_address": "127.0.0.1:0",
    }

    tour.train()
    with server_process(settings, log) as server:
        address = server.address
        tour.point_aliases(address)
        tour.mix(address)
        assert tour.swap(address), "an old request changed its version, or a new one did not"
        metrics = Metrics(metrics_url(log))
        tour.watch_metrics(metrics_url(log))

    for version, at_least in (("1", 4 + 6), ("2", 6)):
        answered = metrics.total("parfocal_requests_total", adapter=MEMO, version=version)
        assert answered >= at_least
    assert metrics.total("parfocal_requests_total", adapter=SUPPORT, version="1") == 4
    registry = FolderRegistry(tmp_path / "registry")
    assert [version.version for version in registry.versions(MEMO).items] == [2, 1]
    assert [move.previous_version for move in registry.alias_history(MEMO, "prod")] == [1, 0]
    newest = registry.resolve(f"{MEMO}@prod").manifest
    assert newest.provenance is not None
    assert newest.provenance.parent is not None
    assert newest.evaluation is not None
    assert {"base_loss", "adapter_loss"} <= newest.evaluation.metrics.keys()


def test_held_out_messages_are_never_trained_on() -> None:
    full = full_lessons()
    for data in (full.support.data, full.memo.data):
        trained = {row["prompt"] for row in data.training}
        assert not trained & {row["prompt"] for row in (*data.held_out, *data.new_wording)}
