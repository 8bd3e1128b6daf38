"""A search trains what training trains, keeps the best as a run of its own, and survives what stops it."""

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from fakes.training import RecordingSearchWatcher, StopsInTrial, chat_rows, weights, write_jsonl
from parfocal.registry import FolderRegistry
from parfocal.training import (
    DataRefused,
    Interrupted,
    InvalidConfig,
    NothingToResume,
    Outcome,
    ResumeMismatch,
    RunDamaged,
    SearchConfig,
    SearchFailed,
    SearchResult,
    TrainConfig,
    publish_run,
    resume,
    resume_search,
    train,
    tune,
)
from parfocal.training.search import Choices, Range
from parfocal.training.settings import resolve_settings


def adapter_of(config: TrainConfig) -> bytes:
    return weights(train(config).output)


def losses(result: SearchResult) -> list[float | None]:
    return [each.loss for each in result.found.trials]


GRID = SearchConfig(
    {"rank": Choices((4, 2)), "learning_rate": Choices((1e-3, 8e-3))}, sampler="grid", pruner="none"
)


def test_the_best_trial_is_the_adapter_that_training_gives_byte_for_byte(
    whole: SearchResult, shared: dict[str, Any], tmp_path: Path
) -> None:
    best = whole.found.best
    assert best is not None and best.number > 1  # others were on the base before it
    alone = TrainConfig(**shared | dict(best.settings) | {"output": tmp_path / "alone"})

    assert adapter_of(alone) == weights(whole.result.output)


def test_every_trial_has_settings_that_give_its_adapter_and_its_losses(
    whole: SearchResult, tmp_path: Path
) -> None:
    last = whole.found.trials[-1]
    file = whole.result.output / "trials" / str(last.number) / "settings.toml"
    again = train(TrainConfig(**resolve_settings(file, {}, [f"output={tmp_path / 'again'}"]).values))
    state = json.loads((whole.result.output / "trials" / str(last.number) / "fitted.json").read_text())
    kept = [entry["held_out_loss"] for entry in state["history"] if "held_out_loss" in entry]

    assert [each.loss for each in last.curve] == kept
    assert again.best_step == state["best_step"]


def test_the_best_is_published_as_training_publishes_with_the_table_of_trials(
    whole: SearchResult, shared: dict[str, Any]
) -> None:
    version = FolderRegistry(shared["output"].with_name("registry")).resolve("letters")
    assert version.manifest.provenance is not None
    recorded = version.manifest.provenance.hyper_parameters
    best = whole.found.best
    assert best is not None

    assert (whole.result.version, whole.result.digest) == (1, version.digest)
    assert recorded["learning_rate"] == best.settings["learning_rate"]
    assert recorded["rank"] == best.settings["rank"]
    search: Any = recorded["search"]
    assert search["best"] == best.number
    assert [each["loss"] for each in search["trials"]] == losses(whole)
    assert version.manifest.evaluation is not None
    assert version.manifest.evaluation.metrics["adapter_loss"] == whole.result.adapter.loss


def test_the_folder_of_a_search_is_that_of_a_run(whole: SearchResult, tmp_path: Path) -> None:
    output = whole.result.output

    for name in (
        "adapter",
        "curve.png",
        "settings.toml",
        "publication.json",
        "result.json",
        "data-report.json",
    ):
        assert (output / name).exists(), name
    assert (output / "evaluation" / "report.html").is_file()
    assert publish_run(output, str(tmp_path / "elsewhere")).digest == whole.result.digest
    assert json.loads((output / "result.json").read_text())["search"]["best"] == whole.found.best.number  # type: ignore[union-attr]


def test_only_the_best_adapter_is_kept_and_no_checkpoint(whole: SearchResult) -> None:
    trials = whole.result.output / "trials"
    best = whole.found.best
    assert best is not None

    assert [path.parent.name for path in trials.glob("*/adapter")] == [str(best.number)]
    assert list(trials.glob("*/checkpoints")) == []


def test_the_page_shows_every_trial_and_needs_nothing_else(whole: SearchResult) -> None:
    text = whole.report.read_text("utf-8")

    assert text.count("<polyline") >= 2 * len(whole.found.trials)
    assert "http" not in text.replace("http-equiv", "")
    for each in whole.found.trials:
        assert f"trial {each.number}: loss" in text


def test_a_watcher_is_told_of_every_trial(whole: SearchResult, watched: RecordingSearchWatcher) -> None:
    assert watched.beginnings == [1, 2, 3, 4]
    assert watched.trials == list(whole.found.trials)
    assert sum(each.is_base for each in watched.scorings) == 4
    assert len({each.loss for each in watched.scorings if each.is_base}) == 1


class CountsThreads(RecordingSearchWatcher):
    """Remembers on how many threads torch may compute when a trial begins."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def began(self, number: int, count: int, settings: Mapping[str, Any]) -> None:
        """Remembers the number."""
        super().began(number, count, settings)
        self.threads.append(torch.get_num_threads())


def test_every_trial_may_use_all_threads(shared: dict[str, Any], tmp_path: Path) -> None:
    watcher = CountsThreads()
    short = TrainConfig(**shared | {"output": tmp_path / "run", "steps": 1, "evaluations": 1})
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        tune(short, replace(GRID, trials=3), watcher)
    finally:
        torch.set_num_threads(before)

    assert watcher.threads == [4, 4, 4]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_search_that_is_stopped_within_a_trial_goes_on_bit_for_bit(
    whole: SearchResult, shared: dict[str, Any], tmp_path: Path, number: signal.Signals
) -> None:
    config = TrainConfig(**shared | {"output": tmp_path / "stopped"})
    with pytest.raises(Interrupted, match=r"in trial 2 at step [34]; .*parfocal tune --resume") as stop:
        tune(config, GRID, StopsInTrial(2, 3, number))
    watcher = RecordingSearchWatcher()
    moved = Path(shutil.move(tmp_path / "stopped", tmp_path / "moved"))
    resumed = resume_search(moved, watcher=watcher)

    assert stop.value.exit_code == 128 + number
    assert watcher.beginnings == [2, 3, 4]
    assert watcher.steps[0].step == stop.value.step + 1
    assert losses(resumed) == losses(whole)
    assert [each.curve for each in resumed.found.trials] == [each.curve for each in whole.found.trials]
    assert weights(moved) == weights(whole.result.output)


def test_a_killed_search_keeps_the_trials_that_ended(
    whole: SearchResult, shared: dict[str, Any], tmp_path: Path
) -> None:
    output, events = tmp_path / "killed", tmp_path / "events"
    flags = {name: value for name, value in shared.items() if name not in ("data", "output", "probes")}
    given = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [
        *(sys.executable, "-m", "parfocal.cli", "tune", str(shared["data"]), "--output", str(output), *given),
        *("--no-probes", "--no-publish", "--events", str(events), "--sampler", "grid", "--pruner", "none"),
        *("--search", "rank=4,2", "--search", "learning_rate=1e-3,8e-3"),
    ]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and not _is_in_trial(events, 3):
            time.sleep(0.02)
        process.kill()
    watcher = RecordingSearchWatcher()
    resumed = resume_search(output, watcher=watcher)

    assert process.returncode == -signal.SIGKILL
    assert watcher.beginnings == [3, 4]
    assert losses(resumed) == losses(whole)
    assert weights(output) == weights(whole.result.output)


def _is_in_trial(events: Path, number: int) -> bool:
    lines = events.read_text().splitlines() if events.exists() else []
    told = [json.loads(line) for line in lines if line.endswith("}")]
    began = [each["event"] == "trial_began" and each["trial"] == number for each in told]
    return any(began) and told[-1]["event"] in ("step", "scored")


def test_trials_can_be_added_to_a_finished_search(
    whole: SearchResult, shared: dict[str, Any], tmp_path: Path
) -> None:
    space: Any = {"learning_rate": Range(1e-3, 8e-3, log=True)}
    config = TrainConfig(**shared | {"output": tmp_path / "grown", "steps": 2, "evaluations": 1})
    first = tune(config, SearchConfig(space, 1))
    with pytest.raises(NothingToResume, match=r"all 1 trials .* have ended; for more: .*--trials 2"):
        resume_search(first.result.output)
    more = resume_search(first.result.output, SearchConfig(trials=3))

    assert [each.outcome for each in more.found.trials] == [Outcome.FINISHED] * 3
    assert more.found.trials[0] == first.found.trials[0]
    assert more.found.best is not None
    assert more.found.best.loss == min(each.loss for each in more.found.trials if each.loss is not None)


def test_a_trial_that_diverges_or_is_pruned_does_not_end_the_search(
    shared: dict[str, Any], tmp_path: Path
) -> None:
    rates = Choices((3e-3, 5e-3, 4e-3, 1e-9, 0.9))
    steep = SearchConfig({"learning_rate": rates}, sampler="grid", pruner="median")
    config = TrainConfig(**shared | {"output": tmp_path / "run", "schedule": "constant", "warmup_steps": 0})
    found = tune(config, steep).found

    assert [each.outcome for each in found.trials[:4]] == [Outcome.FINISHED] * 3 + [Outcome.PRUNED]
    assert found.trials[4].outcome in (Outcome.DIVERGED, Outcome.PRUNED)
    assert found.best is not None and found.best.number <= 3
    assert found.trials[3].curve[-1].step < 6


def test_no_adapter_at_all_is_an_error_that_says_what_to_do(shared: dict[str, Any], tmp_path: Path) -> None:
    refused = SearchConfig({"batch_size": Range(5, 7, whole=True)}, 1)
    config = TrainConfig(**shared | {"output": tmp_path / "run", "batch_size": 6, "micro_batch": 6})
    with pytest.raises(InvalidConfig, match="micro_batch"):
        tune(config, refused)
    assert not (tmp_path / "run").exists()

    drawn = SearchConfig({"batch_size": Range(24, 72, whole=True)}, 1)
    fitting = replace(config, batch_size=16, micro_batch=8, seed=1)
    with pytest.raises(SearchFailed, match=r"no trial ended with an adapter \(1 refused\)"):
        tune(fitting, drawn)


def test_no_further_trial_begins_after_the_minutes_are_over(shared: dict[str, Any], tmp_path: Path) -> None:
    config = TrainConfig(**shared | {"output": tmp_path / "run", "steps": 2, "evaluations": 1})
    watcher = RecordingSearchWatcher()
    result = tune(config, replace(GRID, minutes=1e-6), watcher)

    assert len(result.found.trials) == 1
    assert any("minutes are over" in line for line in watcher.said)
    assert len(resume_search(result.result.output, SearchConfig(minutes=60.0)).found.trials) == 4


@pytest.mark.parametrize(
    ("settings", "search", "words"),
    [
        ({"keep": "last"}, GRID, "keep is 'last'; trials are compared by the best adapter"),
        ({"parent": "a@1"}, GRID, "rank is searched, and the parent a@1 decides it"),
        ({"rank": 16}, SearchConfig({"rank": Choices((999,))}), "searching rank: rank is 999"),
        ({"rank": 8}, SearchConfig({"rank": Choices((2, 4))}), "rank is 8, outside of what is searched"),
        ({}, SearchConfig({"rank": Range(1, 4, whole=True)}, sampler="grid"), "a grid takes choices"),
        ({}, SearchConfig(sampler="x"), "sampler is 'x'"),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_is_written(
    shared: dict[str, Any], tmp_path: Path, settings: dict[str, Any], search: SearchConfig, words: str
) -> None:
    with pytest.raises(InvalidConfig, match=words):
        tune(TrainConfig(**shared | settings | {"output": tmp_path / "run"}), search)

    assert not (tmp_path / "run").exists()


def test_bad_rows_are_refused_as_in_training(shared: dict[str, Any], tmp_path: Path) -> None:
    data = write_jsonl(tmp_path / "rows.jsonl", [*chat_rows(20), {"messages": []}])
    with pytest.raises(DataRefused):
        tune(TrainConfig(**shared | {"data": data, "output": tmp_path / "run"}))


def test_a_search_is_not_resumed_as_a_run_nor_a_run_as_a_search(
    whole: SearchResult, shared: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(
        NothingToResume, match="holds a search, not a run; go on with: parfocal tune --resume"
    ):
        resume(whole.result.output)
    run = train(TrainConfig(**shared | {"output": tmp_path / "run", "steps": 1, "evaluations": 1}))
    with pytest.raises(
        NothingToResume, match="holds a run, not a search; go on with: parfocal train --resume"
    ):
        resume_search(run.output)


def test_what_a_search_began_with_cannot_change(whole: SearchResult, tmp_path: Path) -> None:
    output = Path(shutil.copytree(whole.result.output, tmp_path / "copy"))
    for other, name in (
        (SearchConfig({"rank": Choices((4,))}), "space"),
        (SearchConfig(sampler="random"), "sampler"),
        (SearchConfig(pruner="halving"), "pruner"),
    ):
        with pytest.raises(ResumeMismatch, match=f"{name} is another one"):
            resume_search(output, other)
    with pytest.raises(ResumeMismatch, match="steps is 6 in this run"):
        resume_search(output, SearchConfig(trials=9), settings={"steps": 9})
    (output / "search.json").write_text("{}")
    with pytest.raises(RunDamaged, match=r"search\.json is damaged"):
        resume_search(output)


def test_the_trials_are_equal_however_many_were_on_the_base_before(whole: SearchResult) -> None:
    best = whole.found.best
    assert best is not None
    mine = load_file(whole.result.output / "adapter" / "adapter_model.safetensors")
    trial = load_file(
        whole.result.output / "trials" / str(best.number) / "adapter" / "adapter_model.safetensors"
    )

    assert mine.keys() == trial.keys()
    assert all(bool((mine[name] == trial[name]).all()) for name in mine)
