"""A run as JSON lines: one object an event, whoever reads them, and a last one that says how it ended."""

import io
import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from parfocal.training import (
    Diverged,
    Interrupted,
    InvalidConfig,
    Scored,
    SilentWatcher,
    StepDone,
    TrainConfig,
)
from parfocal.training.watching import EventWatcher, followed


def config(**settings: Any) -> TrainConfig:
    return TrainConfig(data=Path("d"), name="n", **settings)


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def test_every_event_is_one_object_with_its_time(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    with followed(config(events=str(path)), SilentWatcher()) as (watcher, ended):
        watcher.say("hello\nworld")
        watcher.step(StepDone(3, 9, 1.5, 100.0, float("nan")))
        watcher.scored(Scored(3, 9, "validation", 1.2, {"token_accuracy": 0.5}, is_best=True))
        watcher.saved(3)
        ended({"steps": 9})
    events = read(path)

    assert [each["event"] for each in events] == ["said", "step", "scored", "saved", "finished"]
    assert (events[1]["step"], events[1]["loss"], events[1]["seconds_left"]) == (3, 1.5, None)
    assert (events[2]["rows"], events[2]["is_best"]) == ("validation", True)
    assert all(datetime.fromisoformat(each["time"]).tzinfo for each in events)


@pytest.mark.parametrize(
    ("error", "event", "reason"),
    [
        (Interrupted("stopped", checkpoint=Path("run"), step=3), "interrupted", "INTERRUPTED"),
        (Diverged("no number", step=4), "failed", "DIVERGED"),
        (KeyError("x"), "failed", "KeyError"),
    ],
)
def test_a_failure_is_the_last_event(tmp_path: Path, error: Exception, event: str, reason: str) -> None:
    path = tmp_path / "events.jsonl"
    with (
        pytest.raises(type(error)),
        followed(config(events=str(path)), SilentWatcher()),
    ):
        raise error
    (last,) = read(path)

    assert (last["event"], last["reason"]) == (event, reason)


def test_a_resumed_run_adds_to_the_events(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    for step in (1, 2):
        with followed(config(events=str(path)), SilentWatcher()) as (watcher, _):
            watcher.saved(step)

    assert [each["step"] for each in read(path)] == [1, 2]


class GoneReader(io.StringIO):
    tries = 0

    def write(self, text: str) -> int:
        self.tries += 1
        raise BrokenPipeError


def test_a_reader_that_has_gone_does_not_end_the_run() -> None:
    reader = GoneReader()
    watcher = EventWatcher(reader)
    watcher.say("one")
    watcher.say("two")

    assert reader.tries >= 1


def test_a_file_that_cannot_be_written_is_refused_before_anything_else(tmp_path: Path) -> None:
    with (
        pytest.raises(InvalidConfig, match=r"absent/events.*No such file.*name another"),
        followed(config(events=str(tmp_path / "absent" / "events")), SilentWatcher()),
    ):
        pass
