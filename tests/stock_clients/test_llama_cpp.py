"""llama.cpp, unchanged, says with an exported LoRA what PEFT says with the adapter."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from oracle.bases import configurations, write_base
from oracle.exported_pairs import published
from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.server.exports import write_gguf_lora
from stock_clients.venvs import GIVEN, VENVS

pytest.importorskip("gguf", reason="the extra gguf is not installed")

HERE = Path(__file__).resolve().parent
PROMPTS = ([5, 9, 40, 41, 42, 7], [200, 201, 3], [17] * 9)
TOKENS = 12
_SHAPES = [
    {},
    {"use_rslora": True, "rank_pattern": {"q_proj": 2}, "alpha_pattern": {"down_proj": 3}},
]


def llama_cpp(base: Path, lora: Path | None) -> list[list[int]]:
    done = subprocess.run(
        [HERE / "run_llama_cpp.sh", GIVEN, base, lora or "", str(TOKENS), *map(json.dumps, PROMPTS)],
        capture_output=True,
        text=True,
        check=False,
        timeout=550,
    )
    if "No matching distribution" in done.stderr:
        pytest.skip(f"no binding of llama.cpp has a wheel here: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    answers: list[list[int]] = json.loads(done.stdout.splitlines()[-1])
    return answers


@torch.inference_mode()
def greedy(model: Any) -> list[list[int]]:
    found = []
    for prompt in PROMPTS:
        ids = list(prompt)
        for _ in range(TOKENS):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        found.append(ids[len(prompt) :])
    return found


@pytest.mark.skipif(not GIVEN, reason=f"{VENVS} names no folder for a venv with llama.cpp")
@pytest.mark.parametrize("options", _SHAPES, ids=["one scale", "many scales"])
def test_llama_cpp_says_what_peft_says(tmp_path: Path, options: dict[str, Any]) -> None:
    from oracle.gguf_base import write_gguf_base

    base = write_base(tmp_path / "base", configurations(2)["llama"])
    adapter = write_adapter(tmp_path / "adapter", base, AdapterShape(4, options=options), seed=1)
    pair = published(tmp_path, base, adapter)
    write_gguf_base(base, tmp_path / "base.gguf")
    write_gguf_lora(pair.adapted, tmp_path / "lora.gguf")
    model = pair.peft()

    with model.disable_adapter():
        plain = greedy(model)
    adapted = greedy(model)

    assert llama_cpp(tmp_path / "base.gguf", None) == plain
    assert llama_cpp(tmp_path / "base.gguf", tmp_path / "lora.gguf") == adapted
    assert plain != adapted
