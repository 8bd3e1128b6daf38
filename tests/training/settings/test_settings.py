"""Settings: file < environment < flags, refused by name, and written so that they give the same run again."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parfocal.training import InvalidConfig, TrainConfig
from parfocal.training.hyperparameters import BaseFacts, DataFacts, choose
from parfocal.training.settings import resolve_settings, resolved_settings, settings_toml

BASE = BaseFacts("llama", 576, 2048)


def resolve(folder: Path, text: str = "", **more: Any) -> dict[str, Any]:
    file = folder / "settings.toml"
    file.write_text(text, "utf-8")
    return dict(resolve_settings(file, more.get("environment", {}), *more.get("rest", ())).values)


def test_a_variable_beats_the_file_and_a_flag_beats_both(tmp_path: Path) -> None:
    environment = {"PARFOCAL_TRAIN_RANK": "4", "PARFOCAL_TRAIN_SEED": "7", "PARFOCAL_SLOTS": "9"}
    found = resolve(
        tmp_path,
        'data = "rows.jsonl"\nrank = 2\nseed = 1\nepochs = 3',
        environment=environment,
        rest=(["seed=8"], {"alpha": 5}),
    )

    assert found == {"data": Path("rows.jsonl"), "rank": 4, "seed": 8, "epochs": 3.0, "alpha": 5}


@pytest.mark.parametrize(
    ("pair", "name", "value"),
    [
        ("rank=8", "rank", 8),
        ("learning-rate=1e-3", "learning_rate", 1e-3),
        ("early_stop=no", "early_stop", False),
        ("targets=q_proj, v_proj", "targets", ("q_proj", "v_proj")),
        ('targets=["q_proj"]', "targets", ("q_proj",)),
        ("template_variables={enable_thinking = false}", "template_variables", {"enable_thinking": False}),
        ("registry=", "registry", None),
        ("held_out=a=b.jsonl", "held_out", Path("a=b.jsonl")),
    ],
)
def test_a_pair_is_read_as_its_setting_asks(pair: str, name: str, value: object) -> None:
    assert resolve_settings(None, {}, [pair]).values == {name: value}


@pytest.mark.parametrize(
    ("pair", "words"),
    [
        ("rnk=8", "unknown setting rnk in --set; the nearest one is rank"),
        ("rank", "is not KEY=VALUE"),
        ("rank=many", "--set sets rank to 'many'; it must be a whole number"),
        ("rank=true", "it must be a whole number"),
        ("early_stop=perhaps", "it must be true or false"),
        ("template_variables=3", "it must be a table"),
        ("columns={", "it must be a table"),
    ],
)
def test_a_pair_that_cannot_be_used_is_refused_by_name(pair: str, words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        resolve_settings(None, {}, [pair])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("rnk = 8", r"unknown setting rnk in .*settings.toml; the nearest one is rank"),
        ("rank = true", r"settings.toml sets rank to True"),
        ("targets = [1]", "it must be a list of texts"),
        ("rank", "are not TOML"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidConfig, match=words):
        resolve(tmp_path, text)
    with pytest.raises(InvalidConfig, match="cannot be read: No such file"):
        resolve_settings(tmp_path / "absent.toml", {})


def test_an_unknown_variable_is_refused_by_name() -> None:
    with pytest.raises(InvalidConfig, match="unknown setting PARFOCAL_TRAIN_RNK in the environment"):
        resolve_settings(None, {"PARFOCAL_TRAIN_RNK": "8"})


def test_a_pair_and_a_flag_that_differ_are_refused() -> None:
    with pytest.raises(InvalidConfig, match="rank is 8 by --set and 4 by its flag"):
        resolve_settings(None, {}, ["rank=8"], {"rank": 4})


RATES = st.none() | st.floats(1e-6, 0.1)
LENGTHS = st.fixed_dictionaries(
    {},
    optional={
        "steps": st.integers(1, 500),
        "early_stop": st.booleans(),
        "warmup_steps": st.integers(0, 9),
        "schedule": st.sampled_from(["auto", "linear", "cosine", "constant", "wsd"]),
        "evaluations": st.integers(1, 30),
        "rslora": st.booleans(),
        "alpha": st.integers(1, 64),
        "batch_size": st.sampled_from([4, 16]),
        "micro_batch": st.sampled_from([2, 4]),
        "targets": st.just(("q_proj",)),
        "template_variables": st.dictionaries(st.text(), st.booleans() | st.text(), max_size=2),
        "registry": st.none() | st.text(min_size=1),
    },
)


@given(LENGTHS, RATES, st.integers(1, 3000), st.booleans())
def test_what_is_written_chooses_the_same_run_again(
    tmp_path_factory: pytest.TempPathFactory,
    settings: dict[str, Any],
    rate: float | None,
    rows: int,
    validated: bool,
) -> None:
    config = TrainConfig(data=Path("d"), name="n", learning_rate=rate, **settings)
    data = DataFacts(rows, 300, 1, validated)
    chosen = choose(config, data, BASE)
    file = tmp_path_factory.getbasetemp() / "resolved.toml"
    reasons = {choice.name: choice.reason for choice in chosen.choices}
    file.write_text(settings_toml(resolved_settings(config, chosen), reasons, "again"), "utf-8")
    again = TrainConfig(**resolve_settings(file, {}).values)

    same = choose(again, data, BASE)
    assert {**chosen.to_json(), "reasons": 0} == {**same.to_json(), "reasons": 0}
    assert (same.planned_steps, same.until_rest) == (chosen.planned_steps, chosen.until_rest)
    assert (same.evaluate_every, same.patience) == (chosen.evaluate_every, chosen.patience)
    assert (same.micro_batch, same.accumulation) == (chosen.micro_batch, chosen.accumulation)
    assert (again.targets, again.template_variables) == (config.targets, config.template_variables)
    assert again.registry == config.registry
