"""The embedded base learns a job of the demo in a few steps; what is recorded is what gates read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest
import torch
from peft import PeftModel

from fakes.training import write_jsonl
from parfocal.engine import quiet_libraries
from parfocal.engine.loading import Loading, load_quantised
from parfocal.registry import Evaluation, FolderRegistry, Version, describe_base, locate_base
from parfocal.registry.gates import (
    BelowBase,
    Bound,
    Gate,
    NotAboveCurrent,
    Rule,
    SameBase,
    Side,
    SignedBy,
    Subject,
)
from parfocal.registry.insight import measurements
from parfocal.registry.values import MetricCondition
from parfocal.training import TrainConfig, TrainResult, train
from parfocal.training.data.encoder import BaseEncoder
from parfocal.training.data.prepare import prepare
from parfocal.training.evaluation import HeldOut
from parfocal.training.examples import support_emails


@dataclass(frozen=True, slots=True)
class Trained:
    """A run on `tiny`, and the version that it published."""

    config: TrainConfig
    result: TrainResult
    version: Version

    @property
    def metrics(self) -> Mapping[str, float]:
        return self.evaluation.metrics

    @property
    def evaluation(self) -> Evaluation:
        assert self.version.manifest.evaluation is not None
        return self.version.manifest.evaluation

    @property
    def subject(self) -> Subject:
        return Subject.of(self.version, {"key-1": "release"})


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    folder = tmp_path_factory.mktemp("tiny")
    rows = [dict(row) | {"slice": f"part {at % 2}"} for at, row in enumerate(support_emails(160, seed=5))]
    config = TrainConfig(
        data=write_jsonl(folder / "emails.jsonl", rows),
        name="demo/support",
        registry=str(folder / "registry"),
        output=folder / "run",
        rendering="chat",
        steps=12,
        batch_size=8,
        learning_rate=5e-3,
        evaluations=1,
        held_out_fraction=0.3,
        metrics=("json", "label"),
        answers=8,
    )
    result = train(config)
    return Trained(config, result, FolderRegistry(folder / "registry").resolve("demo/support"))


def test_a_few_steps_are_learnt_and_published(trained: Trained) -> None:
    assert trained.result.adapter.loss < trained.result.base.loss - 1.5
    assert trained.result.gain.verdict == "better"
    assert trained.version.manifest.contract.base.id == "tiny"
    assert trained.version.manifest.provenance is not None
    assert trained.version.manifest.provenance.hyper_parameters["rendering"] == "chat"


def test_the_serving_engine_scores_as_peft_does_on_the_same_4_bit_base(trained: Trained) -> None:
    base = locate_base("tiny", weights=True).folder
    cpu = torch.device("cpu")
    with quiet_libraries():
        loaded = load_quantised(base, Loading(torch.float32, cpu, "sdpa", exact=True))
        model = PeftModel.from_pretrained(loaded, trained.result.adapter_folder).eval()
    held_out = HeldOut(prepare(trained.config, base).held_out, 8, BaseEncoder(base).pad_id, cpu)
    mine = held_out.score(model)
    with model.disable_adapter():
        bare = held_out.score(model)

    assert trained.result.adapter.loss == pytest.approx(mine.loss, rel=0.02)
    assert trained.result.base.loss == pytest.approx(bare.loss, rel=0.02)
    assert trained.result.adapter.token_accuracy == pytest.approx(mine.token_accuracy, abs=0.02)


def test_all_that_an_evaluation_finds_is_recorded(trained: Trained) -> None:
    found = trained.metrics

    assert found == trained.result.metrics()
    for name in (
        "loss",
        "token_accuracy",
        "stops",
        "json_valid",
        "json_exact",
        "json_f1",
        "label_accuracy",
        "label_f1",
    ):
        assert {f"base_{name}", f"adapter_{name}", f"{name}_gain", f"{name}_gain_low"} <= found.keys(), name
    assert {"adapter_json_f1.order", "adapter_loss/part 0", "loss_gain_low/part 1"} <= found.keys()
    assert {"forgetting", "forgetting_high", "forgetting/german", "kl_from_base/prose"} <= found.keys()
    assert {"adapter_stereotypes", "base_modern_facts"} <= found.keys()
    assert found["logprob_shift"] > 0.5
    assert found["overfitting_gap"] == pytest.approx(found["adapter_loss"] - found["train_loss"])
    assert found["kl_from_base"] > 0
    assert found["forgetting"] == pytest.approx(
        found["adapter_general_loss"] / found["base_general_loss"] - 1, abs=1e-6
    )
    assert found["forgetting_low"] <= found["forgetting"] <= found["forgetting_high"]


def test_the_registrys_pages_pair_it_with_the_base(trained: Trained) -> None:
    found = {each.title: each for each in measurements(trained.evaluation)}

    for title in ("loss", "json_f1", "loss/part 0"):
        value = found[title].value
        assert found[title].base is not None and value is not None and value.low is not None, title
    assert not any(title.endswith(("_low", "_high")) for title in found)


def test_the_registrys_lists_find_it_by_what_is_recorded(trained: Trained) -> None:
    loss = trained.metrics["adapter_loss/part 0"]

    assert MetricCondition.parse(f'"adapter_loss/part 0" <= {loss + 0.1}').holds(trained.metrics)
    assert not MetricCondition.parse(f'"adapter_loss/part 0" <= {loss - 0.1}').holds(trained.metrics)


def rules(trained: Trained) -> list[tuple[Rule, Rule]]:
    """Each kind of rule, as one that the version meets and one that it misses."""
    found = trained.metrics
    base = describe_base(locate_base("tiny", weights=False))
    other = replace(base, config_digest=f"sha256:{'0' * 64}")
    gain = found["loss_gain_low"]
    worst = max(found["forgetting_high"], 0.0)
    return [
        (BelowBase(0.1), BelowBase(gain + 0.5)),
        (BelowBase(0.1, "*"), BelowBase(gain + 0.5, "part 1")),
        (NotAboveCurrent(), NotAboveCurrent(-0.01)),
        (NotAboveCurrent(0.0, "*"), NotAboveCurrent(-0.01, "part 0")),
        (
            Bound(
                "adapter_token_accuracy",
                Side.AT_LEAST,
                found["adapter_token_accuracy_low"] - 0.01,
                interval=True,
            ),
            Bound("adapter_token_accuracy", Side.AT_LEAST, found["adapter_token_accuracy"], interval=True),
        ),
        (
            Bound("adapter_loss", Side.AT_MOST, 3.5, "*", interval=True),
            Bound("adapter_loss", Side.AT_MOST, 0.0, "*", interval=True),
        ),
        (Bound("forgetting", Side.AT_MOST, worst), Bound("forgetting", Side.AT_MOST, worst - 1)),
        (SameBase(base), SameBase(other)),
        (SignedBy(("release",)), SignedBy(("audit",))),
    ]


@pytest.mark.parametrize("kind", range(9))
def test_a_gate_of_each_kind_of_rule_passes_and_refuses_it(trained: Trained, kind: int) -> None:
    met, missed = rules(trained)[kind]

    passed = Gate((met,)).judge(trained.subject, trained.subject)
    refused = Gate((missed,)).judge(trained.subject, trained.subject)
    assert passed.passed, passed.failed
    assert not refused.passed, refused.evidence


def test_the_verdict_and_the_table_are_told(trained: Trained) -> None:
    said = "\n".join(trained.result.lines())

    assert "24 held-out rows" in said
    assert "adapter, loss: better" in said
    assert "JSON fields, F1 (8)" in said
    assert json.loads(json.dumps(trained.result.to_json()))["verdict"] == "better"
