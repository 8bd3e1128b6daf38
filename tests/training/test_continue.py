"""A run goes on from a published adapter: with its shape, outputs and rows; both are compared at the end."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file, save_file

from fakes.registry.registry_server import serving_aside
from fakes.training import StopsAt, chat_row, chat_rows, write_jsonl
from parfocal.engine.loading import Loading, load_quantised
from parfocal.registry import FolderRegistry, Publication
from parfocal.training import (
    Interrupted,
    InvalidConfig,
    ParentMismatch,
    ResumeMismatch,
    TrainConfig,
    TrainResult,
    check,
    plan,
    resume,
    train,
)
from parfocal.training.hyperparameters import base_facts
from parfocal.training.methods.adapter import (
    add_adapter,
    load_base,
    set_adapter_weights,
    training_device,
)
from parfocal.training.parent import begun_from

PARENT = "team/letters@1"


def new_rows() -> list[Any]:
    return [chat_row(f"say {index} {'xyz'[index % 3]}", "xyz"[index % 3] * 4) for index in range(60)]


@pytest.fixture(scope="module")
def home(base_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The parent's rows, other rows, and a registry with the parent, which adapts two kinds of modules."""
    folder = tmp_path_factory.mktemp("continue")
    write_jsonl(folder / "old.jsonl", chat_rows(80))
    write_jsonl(folder / "new.jsonl", new_rows())
    train(
        TrainConfig(
            data=folder / "old.jsonl",
            name="team/letters",
            base=str(base_folder),
            registry=str(folder / "registry"),
            output=folder / "parent",
            rank=4,
            alpha=12,
            targets=("q_proj", "down_proj"),
            steps=6,
            evaluations=1,
            held_out_fraction=0.2,
            answers=0,
            probes=False,
        )
    )
    return folder


@pytest.fixture
def config(home: Path, base_folder: Path, tmp_path: Path) -> TrainConfig:
    """A short run that goes on from the parent, in a copy of its registry."""
    return TrainConfig(
        data=home / "new.jsonl",
        name="team/child",
        base=str(base_folder),
        parent=PARENT,
        registry=str(shutil.copytree(home / "registry", tmp_path / "registry")),
        output=tmp_path / "run",
        steps=2,
        evaluations=1,
        held_out_fraction=0.2,
        answers=2,
        probes=False,
    )


@pytest.fixture(scope="module")
def child(home: Path, base_folder: Path) -> TrainResult:
    """A child that replays the parent's rows, published beside it."""
    return train(
        TrainConfig(
            data=home / "new.jsonl",
            name="team/child",
            base=str(base_folder),
            parent=PARENT,
            replay=f"{home / 'old.jsonl'}:30%",
            registry=str(home / "registry"),
            output=home / "child",
            steps=6,
            evaluations=1,
            held_out_fraction=0.2,
            answers=2,
        )
    )


def test_what_is_left_open_is_the_parents(config: TrainConfig) -> None:
    begun = begun_from(replace(config, base=None), FolderRegistry(Path(str(config.registry))))

    assert (begun.base, begun.rank, begun.alpha, begun.rslora) == ("small", 4, 12, False)
    assert begun.targets == ("down_proj", "q_proj")
    assert begun.rendering == "chat"
    assert {choice.name: choice.reason for choice in plan(config).hyperparameters.choices}["rank"] == (
        "the parent's"
    )


def test_before_its_first_step_it_says_exactly_what_peft_makes_of_the_parent(
    config: TrainConfig, base_folder: Path
) -> None:
    registry = FolderRegistry(Path(str(config.registry)))
    folder = registry.materialise(registry.resolve(PARENT).digest)
    prepared = check(config)
    assert prepared.hyperparameters is not None
    begun = replace(begun_from(config, registry), dtype="float32")
    chosen = replace(prepared.hyperparameters, attention="sdpa")
    place = training_device(begun)
    base = load_base(base_folder, base_facts(base_folder), chosen, place)
    model = add_adapter(base, begun, chosen).eval()
    set_adapter_weights(model, load_file(folder / "adapter_model.safetensors"))
    base = load_quantised(base_folder, Loading(place.dtype, place.device, "sdpa", exact=True))
    oracle = PeftModel.from_pretrained(base, folder).eval()
    ids = torch.tensor([list(range(40, 90))])

    with torch.no_grad():
        ours, theirs = model(input_ids=ids).logits, oracle(input_ids=ids).logits
        with oracle.disable_adapter():
            bare = oracle(input_ids=ids).logits
    assert torch.equal(ours, theirs)
    assert not torch.equal(ours, bare)


def test_the_child_is_compared_with_base_and_parent_and_on_the_parents_rows(child: TrainResult) -> None:
    metrics = child.metrics()
    found = json.loads((child.output / "evaluation" / "report.json").read_text())
    losses = next(each for each in found["figures"] if each["name"] == "loss")["values"]
    forgotten = [each["name"] for each in found["continued"]["probes"] if not each["slice"]]
    page = (child.output / "evaluation" / "report.html").read_text()

    assert [arm["title"] for arm in found["arms"]] == ["base", PARENT, "adapter"]
    assert [each["value"] for each in losses] == [
        metrics["base_loss"], metrics["parent_loss"], metrics["adapter_loss"],
    ]  # fmt: skip
    assert metrics["loss_gain_over_parent_low"] <= metrics["loss_gain_over_parent"]
    assert metrics["adapter_loss"] < metrics["parent_loss"]
    assert metrics["forgetting_of_parent_low"] <= metrics["forgetting_of_parent"]
    assert metrics["kl_from_parent"] > 0
    assert {"parent_replayed_loss", "adapter_replayed_loss", "replayed_loss_gain_over_parent_high"} <= (
        metrics.keys()
    )
    assert "parent_replayed_exact_match" in metrics
    assert forgotten == ["general_loss", "forgetting", "kl_from_base"]
    assert found["continued"]["replayed_rows"] == 8
    assert f"beside {PARENT}" in page and "replayed rows" in page
    assert any(line.startswith(f"beside {PARENT}, loss: ") for line in child.lines())
    assert any(line.startswith(f"beside {PARENT}, forgotten of general text: ") for line in child.lines())


def test_the_version_says_whence_it_comes_and_what_was_replayed(home: Path, child: TrainResult) -> None:
    registry = FolderRegistry(home / "registry")
    manifest = registry.resolve("team/child").manifest
    assert manifest.provenance is not None and manifest.evaluation is not None
    recorded = manifest.provenance.hyper_parameters

    assert manifest.provenance.parent == PARENT
    assert recorded["parent_digest"] == registry.resolve(PARENT).digest
    assert recorded["replay_share"] == pytest.approx(0.3, abs=0.02)
    assert recorded["replay_rows"] == 21
    assert recorded["train_rows"] == 48
    assert str(recorded["replay_data_digest"]).startswith("sha256:")
    assert manifest.evaluation.metrics == child.metrics()
    assert str(home) not in json.dumps(recorded)


def test_its_parents_held_out_rows_are_those_that_the_parent_held_out(home: Path, child: TrainResult) -> None:
    registry = FolderRegistry(home / "registry")
    parent, own = (registry.resolve(each).manifest.provenance for each in (PARENT, "team/child"))
    assert parent is not None and own is not None

    assert own.hyper_parameters["replay_held_out_digest"] == parent.hyper_parameters["held_out_digest"]


def test_a_parent_on_few_layers_stays_on_them(
    config: TrainConfig, home: Path, base_folder: Path, tmp_path: Path
) -> None:
    registry = FolderRegistry(Path(str(config.registry)))
    contract = registry.resolve(PARENT).manifest.contract
    one = ("model.layers.1.self_attn.q_proj", "model.layers.0.mlp.down_proj")
    part = replace(config, parent=None, targets=one, rank=4, name="team/part", output=tmp_path / "part")
    train(part)
    child = replace(config, parent="team/part", output=tmp_path / "on")
    train(child)

    targets = registry.resolve("team/child").manifest.contract.targets
    assert len(contract.targets) == 4
    assert [target.path for target in targets] == sorted(one)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 8}, "has r 4, this run 8"),
        ({"alpha": 4}, "has lora_alpha 12, this run 4"),
        ({"rslora": True}, "has use_rslora 0, this run 1"),
        ({"targets": ("q_proj",)}, r"the parent adapts model.layers.0.mlp.down_proj, this run does not"),
        ({"base": "tiny"}, "was made for another base: base.*leave out --base"),
    ],
)
def test_a_parent_of_another_shape_is_refused_by_name(
    config: TrainConfig, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(ParentMismatch, match=message):
        check(replace(config, **settings))


def test_a_parent_of_several_ranks_is_refused(
    config: TrainConfig, home: Path, base_folder: Path, tmp_path: Path
) -> None:
    registry = FolderRegistry(Path(str(config.registry)))
    folder = Path(shutil.copytree(home / "parent" / "adapter", tmp_path / "mixed"))
    tensors = load_file(folder / "adapter_model.safetensors")
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_{}.weight"
    tensors[name.format("A")] = tensors[name.format("A")][:2].contiguous()
    tensors[name.format("B")] = tensors[name.format("B")][:, :2].contiguous()
    save_file(tensors, folder / "adapter_model.safetensors")
    written = json.loads((folder / "adapter_config.json").read_text())
    written["rank_pattern"] = {"layers.0.self_attn.q_proj": 2}
    (folder / "adapter_config.json").write_text(json.dumps(written))
    registry.publish("team/mixed", folder, Publication(registry.resolve(PARENT).manifest.contract.base))

    with pytest.raises(ParentMismatch, match=r"has rank 4 in .* and 2 in .*q_proj; only"):
        check(replace(config, parent="team/mixed"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"parent": None, "replay": "old.jsonl"}, "no parent that could forget it.*--from"),
        ({"replay": "old.jsonl:1.5"}, "above 0 and at most 0.9"),
        ({"replay": "-"}, "name a file"),
    ],
)
def test_a_replay_that_means_nothing_is_refused(
    config: TrainConfig, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(InvalidConfig, match=message):
        check(replace(config, **settings))


def test_the_plan_gives_the_share_with_its_reason(config: TrainConfig, home: Path) -> None:
    choices = plan(replace(config, replay=str(home / "old.jsonl"))).hyperparameters.choices
    few = plan(replace(config, replay=f"{home / 'old.jsonl'}:0.8")).hyperparameters.choices
    usual, short = ({each.name: each for each in one}["replay_share"] for one in (choices, few))

    assert usual.value == 0.25
    assert "25 % a large one" in usual.reason
    assert short.reason == "as given; 72 rows are all that there are"


def test_rows_to_replay_that_change_make_it_another_run(config: TrainConfig, home: Path) -> None:
    old = Path(shutil.copy(home / "old.jsonl", Path(str(config.output)).with_name("old.jsonl")))
    with pytest.raises(Interrupted):
        train(replace(config, replay=str(old), steps=4), StopsAt(1))
    write_jsonl(old, chat_rows(81))

    with pytest.raises(ResumeMismatch, match="the replayed rows of this run changed"):
        resume(Path(str(config.output)))


def test_a_parent_in_a_registry_on_another_machine_is_as_good(
    config: TrainConfig, home: Path, tmp_path: Path
) -> None:
    with serving_aside(tmp_path / "registry", tmp_path / "uploads") as address:
        result = train(replace(config, registry=f"grpc://{address}", answers=0))
    manifest = FolderRegistry(tmp_path / "registry").resolve("team/child").manifest

    assert manifest.provenance is not None
    assert manifest.provenance.parent == PARENT
    assert {target.rank for target in manifest.contract.targets} == {4}
    assert "loss_gain_over_parent" in result.metrics()
