"""Settings: refused by name when out of range, and the same after a trip through JSON."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from parfocal.registry import RegistryError
from parfocal.training import InvalidConfig, TrainConfig


def config(**changes: Any) -> TrainConfig:
    settings: dict[str, Any] = {"data": Path("d.jsonl"), "name": "team/small"} | changes
    return TrainConfig(**settings)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rank", 0),
        ("rank", 257),
        ("rank", "16"),
        ("rank", True),
        ("alpha", 0),
        ("learning_rate", 0.0),
        ("learning_rate", float("nan")),
        ("learning_rate", float("inf")),
        ("steps", 0),
        ("epochs", 0.0),
        ("batch_size", 0),
        ("max_length", 1),
        ("seed", -1),
        ("held_out_fraction", 0.9),
        ("evaluations", 0),
        ("answers", -1),
        ("dropout", 1.0),
        ("rendering", "html"),
        ("keep", "first"),
        ("dtype", "int8"),
        ("adapter_dtype", "float16"),
        ("tags", ("Not A Tag",)),
        ("template_variables", {"messages": 1}),
        ("template_variables", {"no name": 1}),
        ("template_variables", {"x": float("nan")}),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_name(field: str, value: object) -> None:
    with pytest.raises(InvalidConfig) as refusal:
        config(**{field: value}).check()
    assert refusal.value.field == field


def test_the_defaults_are_in_range() -> None:
    config().check()


def test_steps_and_epochs_exclude_each_other() -> None:
    with pytest.raises(InvalidConfig, match="not both"):
        config(steps=3, epochs=1).check()


def test_a_micro_batch_must_divide_the_batch() -> None:
    config(batch_size=16, micro_batch=4).check()
    with pytest.raises(InvalidConfig, match="must divide"):
        config(batch_size=16, micro_batch=5).check()


def test_a_name_that_breaks_the_grammar_is_refused() -> None:
    with pytest.raises(RegistryError):
        config(name="../evil").check()


def test_settings_survive_json() -> None:
    before = config(held_out=Path("h"), output=Path("o"), targets=("q_proj", "v_proj"), learning_rate=1e-4)
    before = dataclasses.replace(before, template_variables={"enable_thinking": False, "n": [1, None]})
    before = dataclasses.replace(before, tags=("language:de", "mail"), sign_key=Path("release.pem"))

    assert TrainConfig.from_json(json.loads(json.dumps(before.to_json()))) == before


def test_an_unknown_setting_is_named() -> None:
    with pytest.raises(InvalidConfig, match="'learning_rte'"):
        TrainConfig.from_json({"data": "d", "name": "n", "learning_rte": 1})


def test_patience_is_refused_where_nothing_is_waited_for() -> None:
    with pytest.raises(InvalidConfig, match=r"patience is 3; .*early_stop"):
        TrainConfig(data=Path("d"), name="n", steps=9, patience=3).check()
    TrainConfig(data=Path("d"), name="n", steps=9, patience=3, early_stop=True).check()


@pytest.mark.parametrize(
    ("settings", "field", "why"),
    [
        ({"dora": True}, "dora", "scales the columns of the base's weights"),
        ({"modules_to_save": ("lm_head",)}, "modules_to_save", "whole modules of the base"),
        ({"init": "pissa"}, "init", "changes the base's weights"),
        ({"init": "olora"}, "init", "changes the base's weights"),
        ({"init": "eva"}, "init", "use one of default"),
        ({"init": "orthogonal", "rank": 3}, "rank", "an even rank"),
        ({"init": "orthogonel"}, "init", "use one of default"),
    ],
)
def test_what_could_be_trained_but_not_served_is_refused_by_name(
    settings: dict[str, Any], field: str, why: str
) -> None:
    with pytest.raises(InvalidConfig, match=why) as refused:
        TrainConfig(data=Path("d"), name="n", **settings).check()
    assert refused.value.field == field


@pytest.mark.parametrize("init", ["default", "gaussian", "orthogonal"])
def test_beginnings_that_leave_the_base_as_it_is_are_taken(init: str) -> None:
    TrainConfig(data=Path("d"), name="n", init=init).check()
