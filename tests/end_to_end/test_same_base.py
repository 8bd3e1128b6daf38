"""A base that transformers saved again, sharded, under another name, is the same base and says the same."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

from fakes.engine.folder_source import FolderSource
from oracle.bases import configurations, write_base
from oracle.engines import run_all
from parfocal.engine import EngineConfig, Request, Stop
from parfocal.engine.loading.base import load_base
from parfocal.engine.loading.build import build_engine
from parfocal.registry import BaseContract, describe_base, locate_base

EXACT = EngineConfig(device="cpu", dtype="float32", kv_cache_bytes=1 << 22)


def described(folder: Path) -> BaseContract:
    return describe_base(locate_base(str(folder), weights=True))


def tokens(folder: Path) -> dict[str, tuple[int, ...]]:
    engine = build_engine(load_base(folder, EXACT), EXACT, FolderSource({}))
    try:
        return run_all(engine, [Request("q", tuple(range(1, 30)), stop=Stop(12, ignore_eos=True))]).tokens
    finally:
        engine.close()


def with_end_of_text(folder: Path) -> None:
    """Qwen's tokenizer class adds this token to every tokenizer that lacks it; every Qwen has it."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    tokenizer.add_special_tokens({"unk_token": "<|endoftext|>"})
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("kind", configurations())
def test_a_base_saved_again_under_another_name_is_the_same_and_says_the_same(
    kind: str, tmp_path: Path
) -> None:
    first = write_base(tmp_path / "original", configurations()[kind])
    with_end_of_text(first)
    again = tmp_path / "elsewhere" / "copy"
    model = AutoModelForCausalLM.from_pretrained(first, dtype=torch.float32)
    model.save_pretrained(again, max_shard_size="150KB")
    AutoTokenizer.from_pretrained(first).save_pretrained(again)
    config = json.loads((again / "config.json").read_text())
    (again / "config.json").write_text(json.dumps({"note": "mine", **dict(reversed(config.items()))}))

    assert described(first).differences(described(again)) == []
    assert [caution.field for caution in described(first).cautions(described(again))] == ["base.id"]
    assert tokens(first) == tokens(again)


def test_a_fine_tune_of_the_same_name_and_configuration_is_another_base(tmp_path: Path) -> None:
    first = write_base(tmp_path / "a" / "base", configurations()["llama"], seed=0)
    other = write_base(tmp_path / "b" / "base", configurations()["llama"], seed=1)

    assert [d.field for d in described(first).differences(described(other))] == ["base.weights_fingerprint"]


def test_sixteen_bit_weights_kept_wider_are_the_same_base(tmp_path: Path) -> None:
    narrow = tmp_path / "narrow"
    model = AutoModelForCausalLM.from_config(configurations()["llama"], dtype=torch.bfloat16)
    model.save_pretrained(narrow)
    model.float().save_pretrained(tmp_path / "wide")
    for folder in (narrow, tmp_path / "wide"):
        write_base(tmp_path / "tokenizer", configurations()["llama"])
        for name in ("tokenizer.json", "tokenizer_config.json"):
            shutil.copy(tmp_path / "tokenizer" / name, folder / name)

    assert described(narrow).differences(described(tmp_path / "wide")) == []
