"""What people and programs see of a search: a line for each trial, a bar with the best so far, events."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from parfocal.training import (
    BarSearchWatcher,
    InvalidConfig,
    Outcome,
    PlainSearchWatcher,
    SilentSearchWatcher,
    StepDone,
    TrainConfig,
    Trial,
)
from parfocal.training.search import Scoring
from parfocal.training.watching import followed_search

BEST = Trial(1, {"rank": 8, "learning_rate": 2e-3}, Outcome.FINISHED, (Scoring(60, 60, 0.25),), 12.4)
CUT = Trial(2, {"rank": 16, "learning_rate": 1e-4}, Outcome.PRUNED, (Scoring(12, 60, 0.9),), 3.0)


def test_plain_lines_tell_what_became_of_each_trial() -> None:
    lines: list[str] = []
    watcher = PlainSearchWatcher(lines.append)
    watcher.began(1, 8, BEST.settings)
    watcher.step(StepDone(5, 60, 1.0, 1000.0, 9.0))
    watcher.ended(BEST, 8, BEST)
    watcher.ended(CUT, 8, BEST)

    assert lines == [
        "trial 1/8: loss 0.2500 in 60 steps, 12 s; rank 8, learning_rate 0.002",
        "trial 2/8: pruned at step 12 of 60, loss 0.9000; rank 16, learning_rate 0.0001 "
        "(best: 0.2500, trial 1)",
    ]


def test_the_bar_shows_the_trial_and_the_best_so_far() -> None:
    screen = io.StringIO()
    with BarSearchWatcher(Console(file=screen, force_terminal=True, width=140)) as watcher:
        watcher.say("[not markup] hello")
        watcher.began(1, 8, BEST.settings)
        watcher.ended(BEST, 8, BEST)
        watcher.began(2, 8, CUT.settings)
        watcher.step(StepDone(6, 60, 1.25, 3456.7, 12.0))
    text = screen.getvalue()

    assert "[not markup] hello" in text
    assert "trial 1/8: loss 0.2500" in text
    assert text.rindex("trial 2/8") > text.rindex("trial 1/8")
    assert "best 0.2500 (trial 1), loss 1.250, 3457 tokens/s" in text


def test_programs_are_told_of_trials_and_of_the_end(tmp_path: Path) -> None:
    events = tmp_path / "events.jsonl"
    config = TrainConfig(data=Path("d"), name="n", events=str(events))
    with followed_search(config, SilentSearchWatcher()) as (watcher, tell):
        watcher.began(2, 8, CUT.settings)
        watcher.ended(CUT, 8, BEST)
        tell({"name": "n"})
    with pytest.raises(InvalidConfig), followed_search(config, SilentSearchWatcher()):
        raise InvalidConfig("no such thing")
    told = [json.loads(line) for line in events.read_text().splitlines()]

    assert [each["event"] for each in told] == ["trial_began", "trial_ended", "finished", "failed"]
    assert told[1]["outcome"] == "pruned"
    assert (told[1]["best"], told[1]["loss"]) == (1, 0.9)
