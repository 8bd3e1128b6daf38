"""Folders of runs: numbered, never overwritten, and good for resuming from anywhere."""

from dataclasses import replace
from pathlib import Path

import pytest

from parfocal.registry import BaseContract, Quantisation
from parfocal.registry.values import JSON
from parfocal.training import (
    NothingToResume,
    ResumeMismatch,
    RunDamaged,
    RunExists,
    TrainConfig,
    latest_unfinished,
)
from parfocal.training.runs import Identity, Parent, RunFolder

TINY = BaseContract("tiny", None, "sha256:c", Quantisation(), "sha256:t", None, verified=True)
RECIPE: dict[str, JSON] = {"learning_rate": 1e-3, "targets": ["q_proj"]}
IDENTITY = Identity("sha256:d", "sha256:h", TINY, "sha256:v", RECIPE)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def config(output: Path | None = None) -> TrainConfig:
    return TrainConfig(data=Path("d.jsonl"), name="team/small", output=output, registry="registry")


def test_runs_of_a_name_are_numbered(tmp_path: Path) -> None:
    made = [RunFolder.create(config(), IDENTITY).path for _ in range(3)]

    assert made == [tmp_path / "parfocal-runs" / "team-small" / str(number) for number in (1, 2, 3)]


def test_a_folder_with_something_in_it_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    RunFolder.create(config(tmp_path / "run"), IDENTITY)

    with pytest.raises(RunExists, match="is not empty"):
        RunFolder.create(config(tmp_path / "run"), IDENTITY)


def test_the_settings_mean_the_same_from_another_place(tmp_path: Path) -> None:
    made = RunFolder.create(config(), IDENTITY)
    folder, stored = RunFolder.open(made.path)

    assert folder == made
    assert stored.data == tmp_path / "d.jsonl"
    assert stored.registry == str(tmp_path / "registry")
    assert stored.output == made.path
    assert stored.base == "tiny"


def test_a_remote_registry_stays_as_it_is() -> None:
    settings = TrainConfig(data=Path("d"), name="n", registry="grpc://host:1")
    folder = RunFolder.create(settings, IDENTITY)

    assert RunFolder.open(folder.path)[1].registry == "grpc://host:1"


@pytest.mark.parametrize(
    ("what", "other"),
    [
        ("data", replace(IDENTITY, data_digest="sha256:x")),
        ("held-out rows", replace(IDENTITY, held_out_digest="sha256:x")),
        ("validation rows", replace(IDENTITY, validation_digest="sha256:x")),
        ("base", replace(IDENTITY, base=replace(TINY, config_digest="sha256:x"))),
        ("base", replace(IDENTITY, base=replace(TINY, chat_template_digest="sha256:x"))),
        ("base", replace(IDENTITY, base=replace(TINY, quantisation=Quantisation(double_quant=False)))),
        (
            r"recipe \(learning_rate: 0.001 then, 0.002 now\)",
            replace(IDENTITY, recipe={**RECIPE, "learning_rate": 2e-3}),
        ),
        (
            r"recipe \(warmup_steps: None then, 3 now\)",
            replace(IDENTITY, recipe={**RECIPE, "warmup_steps": 3}),
        ),
    ],
)
def test_a_run_with_other_data_base_or_recipe_is_another_run(what: str, other: Identity) -> None:
    folder = RunFolder.create(config(), IDENTITY)
    folder.check_identity(IDENTITY)

    with pytest.raises(ResumeMismatch, match=f"the {what} of this run changed"):
        folder.check_identity(other)


def test_the_parent_is_pinned_and_may_not_be_looked_up_again() -> None:
    assert RunFolder.create(config(), IDENTITY).parent is None
    folder = RunFolder.create(
        config(), replace(IDENTITY, parent=Parent("team/p@1", "sha256:p", Path("files")))
    )

    assert folder.parent == Parent("team/p@1", "sha256:p")


def test_tools_that_were_others_when_the_run_began_are_told() -> None:
    folder = RunFolder.create(config(), replace(IDENTITY, tools={"peft": "0.20", "torch": "2.9"}))

    assert folder.other_tools({"peft": "0.21", "torch": "2.9", "trl": "1"}) == {"peft": "0.20"}


@pytest.mark.parametrize(
    ("old", "new"),
    [('"batch_size": 16', '"batch_size": 61'), ('"sha256:h"', '"sha256:i"'), ("}", ""), ('"seal"', '"meal"')],
)
def test_a_record_that_changed_is_refused_by_name_with_advice(old: str, new: str) -> None:
    folder = RunFolder.create(config(), IDENTITY)
    record = folder.path / "run.json"
    record.write_text(record.read_text().replace(old, new))

    with pytest.raises(
        RunDamaged, match=r"run\.json is damaged: .*put it back from a copy, or start a new run"
    ):
        RunFolder.open(folder.path)


def test_a_base_that_only_moved_is_still_the_runs_base() -> None:
    folder = RunFolder.create(config(), IDENTITY)

    folder.check_identity(replace(IDENTITY, base=replace(TINY, id="tiny-copy")))


def test_the_newest_unfinished_run_is_found() -> None:
    first, second, third = (RunFolder.create(config(), IDENTITY) for _ in range(3))
    third.write_result({})

    assert latest_unfinished("team/small").resolve() == second.path
    second.write_result({})
    first.write_result({})
    with pytest.raises(NothingToResume, match="team/small"):
        latest_unfinished("team/small")


def test_a_folder_without_a_run_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(NothingToResume, match="holds no run"):
        RunFolder.open(tmp_path)


def test_a_record_that_does_not_fit_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json.part").symlink_to("/dev/full")

    with pytest.raises(OSError, match="No space left on device") as failed:
        RunFolder(tmp_path).write("run.json", {})

    assert failed.value.filename == str(tmp_path / "run.json.part")
