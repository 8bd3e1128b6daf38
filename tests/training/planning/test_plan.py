"""A plan says what a run would be: the same choices that training makes, tokens counted, and a warning."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fakes.training import RecordingWatcher, chat_rows, write_jsonl
from parfocal.training import DataRefused, Estimate, Plan, TrainConfig, estimate_lines, estimated, plan, train


@pytest.fixture
def config(base_folder: Path, tmp_path: Path) -> TrainConfig:
    data = write_jsonl(tmp_path / "rows.jsonl", chat_rows(70))
    settings: dict[str, Any] = {"rank": 4, "batch_size": 4, "steps": 3, "evaluations": 1}
    return TrainConfig(data=data, name="letters", base=str(base_folder), output=tmp_path / "run", **settings)


def estimate_of(planned: Plan) -> Estimate:
    estimate = estimated(planned)
    assert estimate is not None
    return estimate


def test_training_does_what_the_plan_says(config: TrainConfig) -> None:
    planned = plan(config)
    watcher = RecordingWatcher()
    result = train(config, watcher)

    assert all(line in watcher.said for line in planned.lines())
    assert any(line.startswith("memory") for line in watcher.said)
    assert result.steps == planned.hyperparameters.steps


def test_tokens_are_counted_as_they_will_be_learnt(config: TrainConfig) -> None:
    planned = plan(config)
    work = estimate_of(planned).work
    lengths = [len(sample.ids) for sample in planned.prepared.train]

    assert (work.steps, work.passes, work.rows) == (3, 3, 4)
    assert work.length == max(lengths)
    assert 12 * min(lengths) <= work.tokens <= work.computed <= 12 * max(lengths)
    assert 0 < work.learnt < work.tokens


def test_an_estimate_is_told_with_its_parts_and_warns_where_memory_is_short(config: TrainConfig) -> None:
    estimate = estimate_of(plan(config))
    lines = list(estimate.lines())

    assert estimate.memory is not None and estimate.seconds is not None
    assert [line.split()[0] for line in lines] == ["tokens", "adapter", "memory", "time"]
    assert not any("warning" in line for line in lines)
    short = list(replace(estimate, free_bytes=1 << 10).lines())
    assert "a smaller micro_batch needs less" in short[-1]


def test_an_adapter_with_fewer_weights_than_the_rows_teach_tokens_is_warned_of(config: TrainConfig) -> None:
    assert plan(config).warnings == ()
    row = {"prompt": "p", "completion": "word " * 40}
    data = write_jsonl(config.data, [{**row, "prompt": f"p {at}"} for at in range(60)])
    small = plan(replace(config, data=data, rank=1, targets=("q_proj",)))
    (warning,) = small.warnings

    assert "and the adapter has 256 weights: it may not hold all" in warning
    assert f"warning: {warning}" in small.lines()


def test_an_open_run_says_what_is_usual_and_what_is_the_most(config: TrainConfig) -> None:
    lines = list(estimate_lines(plan(replace(config, steps=None))))

    assert "steps, usually" in lines[0]
    assert "at most; measured after ten steps" in lines[-1]


def test_a_method_that_was_not_measured_is_said_to_have_no_estimate(config: TrainConfig) -> None:
    planned = plan(config)
    other = replace(planned, config=replace(config, method="dpo"))

    assert estimated(other) is None
    assert list(estimate_lines(other)) == [
        f"{'memory, time':<14}not estimated for method dpo; measured after ten steps"
    ]


def test_bad_data_has_no_plan(config: TrainConfig) -> None:
    config.data.write_text("{}\n", "utf-8")
    with pytest.raises(DataRefused):
        plan(config)
