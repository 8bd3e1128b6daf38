"""One set of end tokens for serving and training; transformers' `generate` is the oracle."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM

from oracle.bases import configurations, write_base
from parfocal.engine.text import end_token_ids

Fields = dict[str, Any]


def folder_with(folder: Path, config: Fields, generation: Fields | None) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    if generation is not None:
        (folder / "generation_config.json").write_text(json.dumps(generation))
    return folder


@pytest.mark.parametrize(
    ("config", "generation", "ids"),
    [
        ({"eos_token_id": [2, 492]}, None, (2, 492)),
        ({"eos_token_id": [2, 492]}, {}, (2, 492)),
        ({"eos_token_id": 7}, {"eos_token_id": [3, 4]}, (2, 3, 4)),
        ({"eos_token_id": 7}, {"eos_token_id": None}, (2, 7)),
        ({"text_config": {"eos_token_id": [9]}}, None, (2, 9)),
        ({"eos_token_id": None}, None, (2,)),
        ({"model_type": "gemma3_text"}, None, (1, 2)),
        ({"model_type": "phi3", "eos_token_id": None}, None, (2,)),
        ({"model_type": "a_model_of_next_year"}, None, (2,)),
        ({"eos_token_id": [True, "x", 5]}, None, (2, 5)),
    ],
)
def test_the_files_are_asked_in_order(
    tmp_path: Path, config: Fields, generation: Fields | None, ids: tuple[int, ...]
) -> None:
    assert end_token_ids(folder_with(tmp_path, config, generation), 2) == ids


def test_broken_files_leave_the_tokenizers_own(tmp_path: Path) -> None:
    for name in ("config.json", "generation_config.json"):
        (tmp_path / name).write_text("{")

    assert end_token_ids(tmp_path, 2) == (2,)
    assert end_token_ids(tmp_path, None) == ()


@pytest.mark.parametrize("stated", [None, 5, [5, 6]])
@pytest.mark.parametrize("generation", [False, True])
def test_it_is_what_generate_stops_at(tmp_path: Path, stated: object, generation: bool) -> None:
    folder = write_base(tmp_path / "base", configurations()["llama"])
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "eos_token_id": stated}))
    (folder / "generation_config.json").unlink()
    if generation:
        (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [5, 9]}))
    found = AutoModelForCausalLM.from_pretrained(folder).generation_config.eos_token_id
    expected = found if isinstance(found, list) else [found]

    assert end_token_ids(folder, None) == tuple(i for i in expected if i is not None)
