"""An adapter_config.json is honoured whole or refused by the name of its field."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from fakes.adapter_folder import DIGEST, read, write_config
from parfocal.engine.errors import AdapterCorrupt, AdapterRefused
from parfocal.engine.lora.adapter_settings import CONFIG_FILE


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("peft_type", "LOHA"),
        ("peft_type", None),
        ("task_type", "SEQ_CLS"),
        ("bias", "lora_only"),
        ("use_dora", True),
        ("lora_bias", True),
        ("modules_to_save", ["lm_head"]),
        ("trainable_token_indices", [3]),
        ("layer_replication", [[0, 1]]),
        ("target_parameters", ["experts.gate_up_proj"]),
        ("alora_invocation_tokens", [1, 2]),
        ("fan_in_fan_out", True),
        ("use_qalora", True),
        ("arrow_config", {"top_k": 2}),
        ("megatron_config", {"a": 1}),
        ("init_lora_weights", "pissa_niter_4"),
        ("init_lora_weights", "olora"),
        ("a_field_of_next_year", 0.5),
    ],
)
def test_a_field_that_cannot_be_honoured_is_refused_by_name(
    folder: Path, shapes: Mapping[str, tuple[int, int]], name: str, value: object
) -> None:
    write_config(folder, {name: value})

    with pytest.raises(AdapterRefused, match=name) as refusal:
        read(folder, shapes)

    assert repr(value) in str(refusal.value)
    assert refusal.value.metadata == {"config_field": name, "digest": DIGEST}


def test_fields_that_are_off_or_only_for_training_are_accepted(
    folder: Path, shapes: Mapping[str, tuple[int, int]]
) -> None:
    off: dict[str, object] = dict.fromkeys(("use_dora", "a_field_of_next_year"), False)
    off |= {"modules_to_save": None, "megatron_config": {}}
    write_config(
        folder, {**off, "lora_dropout": 0.1, "init_lora_weights": "gaussian", "task_type": "CAUSAL_LM"}
    )

    assert read(folder, shapes).rank == 4


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("r", 0),
        ("r", True),
        ("r", "8"),
        ("lora_alpha", "high"),
        ("lora_alpha", float("nan")),
        ("rank_pattern", ["q_proj"]),
        ("rank_pattern", {"q_proj": 0}),
        ("alpha_pattern", {"q_proj": None}),
        ("rank_pattern", {"q_proj[": 4}),
    ],
)
def test_a_malformed_number_or_pattern_is_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]], name: str, value: object
) -> None:
    write_config(folder, {name: value})

    with pytest.raises(AdapterCorrupt, match=name):
        read(folder, shapes)


@pytest.mark.parametrize(
    "pattern", ["(a+)+", "(.*.*)*x", ".*.*.*.*.*x", "(a|b){2,}", "(a|a)" * 30, "a|" * 20, "a" * 600]
)
def test_a_pattern_that_could_match_for_ever_is_refused(
    folder: Path, shapes: Mapping[str, tuple[int, int]], pattern: str
) -> None:
    write_config(folder, {"rank_pattern": {pattern: 4}})

    with pytest.raises(AdapterRefused, match="rank_pattern key"):
        read(folder, shapes)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xfd", b"[1]", b"[" * 200_000])
def test_a_configuration_that_is_not_a_json_object_is_corrupt(
    folder: Path, shapes: Mapping[str, tuple[int, int]], content: bytes
) -> None:
    (folder / CONFIG_FILE).write_bytes(content)

    with pytest.raises(AdapterCorrupt, match=CONFIG_FILE):
        read(folder, shapes)
