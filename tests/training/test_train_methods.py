"""Whole runs of every method: rows of its kind in, an adapter out, measured by what it was to improve."""

import json
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from fakes.training import JsonRow, RecordingWatcher, StopsAt, chat_rows, weights, write_jsonl
from parfocal.registry import FolderRegistry
from parfocal.training import DataRefused, Interrupted, InvalidConfig, TrainConfig, check, resume, train

LETTERS = "abcdefgh"


def pair(at: int) -> JsonRow:
    letter = LETTERS[at % 8]
    return {"prompt": f"{at} {letter}", "chosen": letter * 3, "rejected": letter.upper() * 3}


def judged(at: int) -> JsonRow:
    letter = LETTERS[at % 8]
    good = at % 3 != 0
    return {"prompt": f"{at} {letter}", "completion": letter * 3 if good else "?" * 3, "label": good}


ROWS: dict[str, list[JsonRow]] = {
    "text": [{"text": f"{at} {LETTERS[at % 8] * 4}"} for at in range(80)],
    "dpo": [pair(at) for at in range(80)],
    "kto": [judged(at) for at in range(80)],
    "reward": [pair(at) for at in range(80)],
}


def settings_of(folder: Path, base: Path, method: str, **more: Any) -> dict[str, Any]:
    return {
        "data": write_jsonl(folder / f"{method}.jsonl", ROWS[method]),
        "name": f"team/{method}",
        "base": str(base),
        "output": folder / "run",
        "registry": str(folder / "registry"),
        "method": method,
        "steps": 8,
        "evaluations": 2,
        "rank": 4,
        "learning_rate": 5e-3,
        "batch_size": 8,
        "answers": 2,
        "probes": False,
    } | more


@pytest.mark.parametrize(
    ("method", "gained", "shown"),
    [
        ("text", "loss", "token_accuracy"),
        ("dpo", "margin", "preference_accuracy"),
        ("kto", "margin", "preference_accuracy"),
        ("reward", "margin", "pair_accuracy"),
    ],
)
def test_a_run_moves_what_its_method_is_for_and_publishes_how_far(
    base_folder: Path, tmp_path: Path, method: str, gained: str, shown: str
) -> None:
    watcher = RecordingWatcher()
    settings = settings_of(tmp_path, base_folder, method, held_out_fraction=0.2, probes=False)
    result = train(TrainConfig(**settings), watcher)
    manifest = FolderRegistry(tmp_path / "registry").resolve(f"team/{method}").manifest

    assert result.gain.verdict == "better"
    assert next(iter(result.gains)) == gained
    assert manifest.evaluation is not None and manifest.provenance is not None
    metrics = manifest.evaluation.metrics
    assert metrics[f"{gained}_gain_low"] > 0
    assert {f"base_{shown}", f"adapter_{shown}"} <= metrics.keys()
    assert manifest.provenance.hyper_parameters["method"] == method
    assert any(shown.replace("_", " ") in line for line in result.lines())
    assert sum("validation loss" in line for line in watcher.said) == 3


def test_preferences_have_the_page_that_answers_have_and_their_parent_in_it(
    base_folder: Path, tmp_path: Path
) -> None:
    first = settings_of(tmp_path, base_folder, "dpo", output=tmp_path / "first")
    train(TrainConfig(**first))
    rows = [{**pair(at), "prompt": f"new {at}", "slice": "ab"[at % 2]} for at in range(80)]
    data = write_jsonl(tmp_path / "more.jsonl", rows)
    more = settings_of(tmp_path, base_folder, "dpo", data=data, parent="team/dpo@1", answers=3, probes=True)
    result = train(TrainConfig(**more | {"replay": str(first["data"]), "rank": None}))
    found = json.loads((result.output / "evaluation" / "report.json").read_text())
    page = (result.output / "evaluation" / "report.html").read_text()
    names = {(each["name"], each["slice"]) for each in found["figures"]}
    metrics = result.metrics()

    assert [arm["title"] for arm in found["arms"]] == ["base", "team/dpo@1", "adapter"]
    assert {
        ("loss", ""),
        ("margin", ""),
        ("margin", "a"),
        ("preference_accuracy", ""),
        ("stops", ""),
    } <= names
    assert {("forgetting", ""), ("stereotypes", "")} <= {(x["name"], x["slice"]) for x in found["probes"]}
    assert len(found["samples"]) == 3 and "Answers side by side" in page
    assert found["metric"] == "margin"
    assert metrics["adapter_margin_low"] <= metrics["adapter_margin"] <= metrics["adapter_margin_high"]
    assert metrics["logprob_shift"] > 0
    assert {"margin_gain_over_parent_low", "replayed_margin_gain_over_parent_low"} <= metrics.keys()
    assert any(line.startswith("adapter, margin: ") for line in result.lines())


@pytest.mark.parametrize("method", ["dpo", "kto"])
def test_an_interrupted_run_resumes_bit_for_bit(base_folder: Path, tmp_path: Path, method: str) -> None:
    settings = settings_of(tmp_path, base_folder, method, registry=None, dropout=0.1)
    whole = train(TrainConfig(**settings))
    stopped = tmp_path / "stopped"
    with pytest.raises(Interrupted):
        train(TrainConfig(**settings | {"output": stopped}), StopsAt(5))
    resumed = resume(stopped)

    assert weights(stopped) == weights(whole.output)
    assert resumed.metrics() == whole.metrics()


def test_a_preference_goes_on_from_a_parent_and_holds_on_to_it(base_folder: Path, tmp_path: Path) -> None:
    rows = write_jsonl(tmp_path / "chats.jsonl", chat_rows(80))
    first = settings_of(tmp_path, base_folder, "dpo", output=tmp_path / "first")
    train(TrainConfig(**first | {"data": rows, "method": "sft", "name": "team/first"}))
    settings = settings_of(tmp_path, base_folder, "dpo", parent="team/first", steps=4)
    settings |= {"output": tmp_path / "second", "rendering": "chat"}
    with pytest.raises(Interrupted) as stop:
        train(TrainConfig(**settings), StopsAt(2))
    kept = load_file(next(stop.value.checkpoint.glob("checkpoints/*/beginning.safetensors")))
    again = train(TrainConfig(**settings | {"parent": None, "output": tmp_path / "third", "steps": 1}))
    resumed = resume(stop.value.checkpoint)
    provenance = FolderRegistry(tmp_path / "registry").resolve("team/dpo").manifest.provenance

    assert kept["chosen"].shape == kept["rejected"].shape == (72,)
    assert again.base.named() == resumed.base.named()
    assert provenance is not None and provenance.parent == "team/first@1"


@pytest.mark.parametrize("method", ["text", "dpo", "kto", "reward"])
def test_rows_of_another_kind_are_refused_by_line(base_folder: Path, tmp_path: Path, method: str) -> None:
    settings = settings_of(tmp_path, base_folder, method)
    settings["data"] = write_jsonl(tmp_path / "chats.jsonl", chat_rows(20))
    with pytest.raises(DataRefused, match=r"a prompt with its answer, which .* does not read|1 more"):
        train(TrainConfig(**settings))
    assert not (tmp_path / "run").exists()


def test_both_answers_of_a_pair_are_checked_and_counted(base_folder: Path, tmp_path: Path) -> None:
    rows = [*ROWS["dpo"][:20], {"prompt": "p", "chosen": "a", "rejected": "b<|im_end|>"}]
    settings = settings_of(tmp_path, base_folder, "dpo", rendering="chat")
    settings["data"] = write_jsonl(tmp_path / "rows.jsonl", rows)
    (found,) = [each for each in check(TrainConfig(**settings)).report.errors]

    assert found.code == "SPECIAL_TOKEN"
    assert found.lines == (21,)


def test_what_the_worse_answers_say_is_part_of_what_a_run_is(base_folder: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, base_folder, "dpo", registry=None)
    first = check(TrainConfig(**settings))
    rows = [{**row, "rejected": "no"} for row in ROWS["dpo"]]
    second = check(TrainConfig(**settings | {"data": write_jsonl(tmp_path / "other.jsonl", rows)}))

    assert first.held_out_digest != second.held_out_digest


def test_judged_answers_need_two_in_a_forward_pass(base_folder: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, base_folder, "kto", micro_batch=1)
    with pytest.raises(InvalidConfig, match="micro_batch is 1; kto"):
        check(TrainConfig(**settings))


def test_the_run_s_record_says_which_method_it_has(base_folder: Path, tmp_path: Path) -> None:
    settings = settings_of(tmp_path, base_folder, "reward", registry=None, steps=1, evaluations=1)
    train(TrainConfig(**settings))
    record = json.loads((tmp_path / "run" / "run.json").read_bytes())

    assert record["config"]["method"] == "reward"
    assert record["identity"]["recipe"]["method"] == "reward"
