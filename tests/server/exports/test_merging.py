"""An adapter merged into its base is what PEFT makes of both, and transformers loads it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from oracle.bases import configurations
from oracle.exported_pairs import Make, Pair, published
from parfocal.registry import BaseFiles, describe_base
from parfocal.server.errors import ExportRefused
from parfocal.server.exports import adapted_base, merge

PROMPTS = ([5, 9, 40, 41, 42, 7], [200, 201, 3])
WEIGHTS = "model.safetensors"


def merged(pair: Pair, target: Path) -> Path:
    target.mkdir()
    merge(pair.adapted, target)
    return target


def oracle(pair: Pair) -> dict[str, torch.Tensor]:
    """PEFT's own merge on a float32 base."""
    model = pair.peft().merge_and_unload()
    return dict(model.state_dict())


@torch.inference_mode()
def greedy(model: Any, prompt: list[int], tokens: int = 12) -> list[int]:
    ids = list(prompt)
    for _ in range(tokens):
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def loaded(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


@pytest.mark.parametrize("kind", configurations(2))
def test_a_float32_base_gets_the_bits_of_pefts_own_merge(pair: Make, tmp_path: Path, kind: str) -> None:
    made = pair(kind)

    state = loaded(merged(made, tmp_path / "merged")).state_dict()

    expected = oracle(made)
    assert state.keys() == expected.keys()
    assert [name for name in state if not torch.equal(state[name], expected[name])] == []
    before = AutoModelForCausalLM.from_pretrained(made.base, dtype=torch.float32).state_dict()
    changed = {name for name in state if not torch.equal(state[name], before[name])}
    assert changed == {f"{target.path}.weight" for target in made.version.manifest.contract.targets}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_16_bit_base_is_rounded_once(pair: Make, tmp_path: Path, dtype: torch.dtype) -> None:
    made = pair("llama", dtype)

    stored = load_file(merged(made, tmp_path / "merged") / WEIGHTS)

    expected = oracle(made)
    assert {tensor.dtype for tensor in stored.values()} == {dtype}
    assert [name for name in stored if not torch.equal(stored[name], expected[name].to(dtype))] == []


@pytest.mark.parametrize("options", [{}, {"use_rslora": True, "rank_pattern": {"q_proj": 2}}])
def test_what_is_merged_says_the_same_as_the_adapter_beside_its_base(
    pair: Make, tmp_path: Path, options: dict[str, Any]
) -> None:
    made = pair("llama", torch.bfloat16, **options)

    model, beside = loaded(merged(made, tmp_path / "merged")), made.peft()

    answers = [greedy(model, prompt) for prompt in PROMPTS]
    assert answers == [greedy(beside, prompt) for prompt in PROMPTS]
    with beside.disable_adapter():
        assert answers != [greedy(beside, prompt) for prompt in PROMPTS]


def test_what_the_adapter_does_not_change_keeps_its_bytes(pair: Make, tmp_path: Path) -> None:
    made = pair("llama")

    before, after = (folder / WEIGHTS for folder in (made.base, merged(made, tmp_path / "merged")))

    header = int.from_bytes(before.read_bytes()[:8], "little") + 8
    assert before.read_bytes()[:header] == after.read_bytes()[:header]
    assert before.stat().st_size == after.stat().st_size


def test_a_base_of_several_files_stays_one(pair: Make, tmp_path: Path) -> None:
    made = pair("llama")
    sharded = tmp_path / "sharded" / "base"
    shutil.copytree(made.base, sharded, ignore=shutil.ignore_patterns(WEIGHTS))
    loaded(made.base).save_pretrained(sharded, max_shard_size="200KB")
    again = published(tmp_path / "sharded", sharded, made.adapter)

    folder = merged(again, tmp_path / "merged")

    names = sorted(path.name for path in sharded.glob("*.safetensors"))
    assert len(names) > 1
    assert sorted(path.name for path in folder.glob("*.safetensors")) == names
    state, expected = loaded(folder).state_dict(), oracle(made)
    assert all(torch.equal(state[name], expected[name]) for name in state)


def test_tokenizer_and_configuration_come_along_and_a_card_says_what_it_is(
    pair: Make, tmp_path: Path
) -> None:
    made = pair("llama")

    folder = merged(made, tmp_path / "merged")

    assert AutoTokenizer.from_pretrained(folder).encode("ab") == AutoTokenizer.from_pretrained(
        made.base
    ).encode("ab")
    assert json.loads((folder / "config.json").read_text()) == json.loads(
        (made.base / "config.json").read_text()
    )
    assert made.version.digest in (folder / "README.md").read_text()


def test_an_adapters_own_template_goes_over_that_of_the_base(pair: Make, tmp_path: Path) -> None:
    made = pair("llama")
    adapter = tmp_path / "adapter"
    shutil.copytree(made.adapter, adapter)
    (adapter / "chat_template.jinja").write_text("its own: {{ messages[0]['content'] }}")

    folder = merged(published(tmp_path, made.base, adapter), tmp_path / "merged")

    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False) == "its own: x"


def test_the_base_of_another_adapter_is_refused_with_what_differs(pair: Make, tmp_path: Path) -> None:
    made, other = pair("llama"), pair("qwen2")

    with pytest.raises(ExportRefused, match=r"another base than base: base\.\w+"):
        adapted_base(made.version, made.published, BaseFiles("base", None, other.base))


def rewritten(made: Pair, folder: Path, change: Any) -> Pair:
    """The pair with other tensors in its base, published without a look at it."""
    base = folder / "base"
    shutil.copytree(made.base, base)
    save_file(change(load_file(base / WEIGHTS)), base / WEIGHTS, {"format": "pt"})
    return published(folder, base, made.adapter, unverified=True)


def test_a_quantised_weight_is_refused_with_advice(pair: Make, tmp_path: Path) -> None:
    name = "model.layers.0.self_attn.q_proj.weight"
    changed = rewritten(
        pair("llama"), tmp_path, lambda tensors: {**tensors, name: tensors[name].to(torch.uint8)}
    )

    with pytest.raises(ExportRefused, match=r"stored as U8; .* not quantised, with --base"):
        merged(changed, tmp_path / "merged")


def test_a_weight_that_is_not_there_is_refused_by_name(pair: Make, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    changed = rewritten(
        pair("llama"), tmp_path, lambda tensors: {key: it for key, it in tensors.items() if key != name}
    )

    with pytest.raises(ExportRefused, match=f"hold no {name}"):
        merged(changed, tmp_path / "merged")


def test_a_weight_of_another_shape_is_refused_by_name(pair: Make, tmp_path: Path) -> None:
    name = "model.layers.1.mlp.up_proj.weight"
    changed = rewritten(
        pair("llama"), tmp_path, lambda tensors: {**tensors, name: tensors[name][:4].contiguous()}
    )

    with pytest.raises(ExportRefused, match=rf"{name} .* shape \[4, 128\]"):
        merged(changed, tmp_path / "merged")


def test_a_sum_that_the_stored_type_cannot_hold_is_refused(pair: Make, tmp_path: Path) -> None:
    made = pair("llama", torch.float16)
    adapter = tmp_path / "adapter"
    shutil.copytree(made.adapter, adapter)
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "lora_alpha": 10_000_000}))

    with pytest.raises(ExportRefused, match="too large for F16"):
        merged(published(tmp_path, made.base, adapter), tmp_path / "merged")


def test_a_base_without_weights_is_refused_with_advice(pair: Make, tmp_path: Path) -> None:
    made = pair("llama")
    base = tmp_path / "base"
    shutil.copytree(made.base, base, ignore=shutil.ignore_patterns(WEIGHTS))

    adapted = adapted_base(made.version, made.published, BaseFiles("base", None, base))
    with pytest.raises(ExportRefused, match="--base"):
        merge(adapted, tmp_path)


def test_a_base_that_is_called_otherwise_is_told(pair: Make) -> None:
    made = pair("llama")

    found = adapted_base(made.version, made.published, BaseFiles("mirror/other", None, made.base))

    assert [caution for caution in found.cautions if "mirror/other" in caution]


def test_progress_ends_at_the_bytes_of_all_weights(pair: Make, tmp_path: Path) -> None:
    made = pair("llama")
    told = list[tuple[int, int]]()
    (tmp_path / "merged").mkdir()

    done = merge(made.adapted, tmp_path / "merged", lambda *now: told.append(now))

    size = (made.base / WEIGHTS).stat().st_size
    assert told[-1] == (size, size)
    assert (done.weights, done.dtypes, done.bytes) == (14, ("F32",), size)


def test_the_base_is_what_it_was(pair: Make, tmp_path: Path) -> None:
    made = pair("llama")
    before = describe_base(BaseFiles("base", None, made.base))

    merged(made, tmp_path / "merged")

    assert describe_base(BaseFiles("base", None, made.base)) == before
