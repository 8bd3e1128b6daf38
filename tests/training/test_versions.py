"""Published versions are evaluated beside their base, with and without a prompt."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fakes.training import write_jsonl
from parfocal.cli.app import build_app
from parfocal.registry import FolderRegistry
from parfocal.training import DataRefused, EvalConfig, InvalidConfig, TrainConfig, evaluate_versions, train
from parfocal.training.data import Row, Turn
from parfocal.training.errors import BaseUnfit
from parfocal.training.examples import support_emails
from parfocal.training.versions import with_prompt


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a registry that holds two versions of an adapter of `tiny`, and rows."""
    folder = tmp_path_factory.mktemp("versions")
    rows = list(support_emails(80, seed=5))
    write_jsonl(folder / "train.jsonl", rows[:60])
    write_jsonl(folder / "held-out.jsonl", rows[60:])
    for number in (1, 2):
        train(
            TrainConfig(
                data=folder / "train.jsonl",
                held_out=folder / "held-out.jsonl",
                name="demo/support",
                registry=str(folder / "registry"),
                output=folder / f"run-{number}",
                rendering="chat",
                rank=4,
                steps=6 * number,
                batch_size=8,
                learning_rate=5e-3,
                evaluations=1,
                keep="last",
                answers=0,
                probes=False,
            )
        )
    return folder


def run(home: Path, *arguments: str) -> "Sequence[str]":
    where = ("--registry", str(home / "registry"), "--data", str(home / "held-out.jsonl"))
    result = CliRunner().invoke(build_app(), ["eval", *arguments, *where])
    assert result.exit_code == 0, result.output
    return result.stdout.splitlines()


def test_versions_and_base_with_and_without_a_prompt_are_asked_in_one_batch(home: Path) -> None:
    lines = run(
        home, "demo/support@1", "demo/support@2", "--metric", "json", "--answers", "4", "--rows", "8",
        "--shots", "2", "--examples", str(home / "train.jsonl"), "--learnt", str(home / "train.jsonl"),
        "--json", "--report", str(home / "report"),
    )  # fmt: skip
    found = json.loads("\n".join(lines))
    arms = [arm["title"] for arm in found["arms"]]
    loss = next(each for each in found["figures"] if each["name"] == "loss")
    values = dict(zip(arms, (each["value"] for each in loss["values"]), strict=True))
    tokens = {arm["title"]: arm["prompt_tokens"] for arm in found["arms"]}
    general = next(each for each in found["probes"] if each["name"] == "general_loss")

    assert arms == [
        "base", "demo/support@1", "demo/support@2",
        "base + prompt", "demo/support@1 + prompt", "demo/support@2 + prompt",
    ]  # fmt: skip
    assert values["demo/support@2"] < values["demo/support@1"] < values["base"]
    assert values["base + prompt"] < values["base"]
    assert tokens["base + prompt"] > 2 * tokens["base"] == 2 * tokens["demo/support@2"]
    assert [each is None for each in general["values"]] == [False] * 3 + [True] * 3
    assert found["recorded"]["demo/support@2"]["adapter_loss"] == values["demo/support@2"]
    assert any(sample["nearest_training_row"] for sample in found["samples"])
    assert (home / "report" / "report.html").is_file()


def test_what_eval_finds_is_what_training_recorded(home: Path) -> None:
    lines = run(home, "demo/support@2", "--answers", "0", "--no-probes", "--json")
    evaluation = FolderRegistry(home / "registry").resolve("demo/support@2").manifest.evaluation
    assert evaluation is not None
    found = json.loads("\n".join(lines))["recorded"]["demo/support@2"]

    for name in ("adapter_loss", "base_loss", "loss_gain_low", "adapter_token_accuracy"):
        assert found[name] == pytest.approx(evaluation.metrics[name], rel=1e-6), name


def test_what_does_not_fit_is_refused_by_name(home: Path, base_folder: Path, tmp_path: Path) -> None:
    registry = FolderRegistry(home / "registry")
    config = EvalConfig(("demo/support@1",), home / "held-out.jsonl")
    broken = tmp_path / "broken.jsonl"
    broken.write_text('{"prompt": "a"\n')

    with pytest.raises(BaseUnfit, match=r"demo/support@1 was made for another base: .*--base"):
        evaluate_versions(replace(config, base=str(base_folder)), registry)
    with pytest.raises(InvalidConfig, match=r"shots is 50.*--examples"):
        evaluate_versions(replace(config, shots=50), registry)
    with pytest.raises(InvalidConfig, match="metric 'blue' is none"):
        evaluate_versions(replace(config, metrics=("blue",)), registry)
    with pytest.raises(DataRefused, match="line 1"):
        evaluate_versions(replace(config, data=broken), registry)
    with pytest.raises(InvalidConfig, match="at most 16"):
        evaluate_versions(replace(config, adapters=("a",) * 17), registry)
    with pytest.raises(InvalidConfig, match="--registry"):
        evaluate_versions(config, None)


def chat(*turns: tuple[str, str]) -> Row:
    return Row("d", 1, tuple(Turn(role, text, role == "assistant") for role, text in turns), raw=False)


def test_in_a_chat_the_instruction_is_the_system_message_and_examples_are_turns_that_are_not_scored() -> None:
    row = chat(("system", "be kind"), ("user", "q"), ("assistant", "a"))
    found = with_prompt(row, "answer in JSON", [chat(("user", "x"), ("assistant", "y"))])

    assert [(turn.role, turn.content, turn.learn) for turn in found.turns] == [
        ("system", "answer in JSON\n\nbe kind", False),
        ("user", "x", False),
        ("assistant", "y", False),
        ("user", "q", False),
        ("assistant", "a", True),
    ]


def test_a_raw_prompt_begins_with_both() -> None:
    one, other = (
        Row("d", 1, (Turn("user", prompt), Turn("assistant", answer, True)), raw=True)
        for prompt, answer in ("qa", "xy")
    )
    found = with_prompt(one, "do so", [other])

    assert found.turns == (Turn("user", "do so\n\nxy\n\nq"), Turn("assistant", "a", True))
