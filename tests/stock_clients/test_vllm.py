"""vLLM's build for CPUs, unchanged, serves an adapter off the Hub's face, and says what PEFT says."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from oracle.peft_oracle import AdapterShape, write_adapter
from parfocal.registry import locate_base
from stock_clients.hub_endpoint import hub_endpoint, run_client
from stock_clients.venvs import GIVEN, VENVS

HERE = Path(__file__).resolve().parent
PROMPTS = ([5, 9, 40, 41, 42, 7], [200, 201, 3], [17] * 9)
TOKENS = 12


@torch.inference_mode()
def greedy(model: Any) -> list[list[int]]:
    found = []
    for prompt in PROMPTS:
        ids = list(prompt)
        for _ in range(TOKENS):
            ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
        found.append(ids[len(prompt) :])
    return found


@pytest.mark.skipif(not GIVEN, reason=f"{VENVS} names no folder for a venv with vLLM")
def test_vllm_serves_an_adapter_straight_from_the_hubs_face(tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = locate_base("tiny", weights=True).folder
    adapter = write_adapter(tmp_path / "adapter", base, AdapterShape(rank=4), 1)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), str(adapter)
    ).eval()
    with model.disable_adapter():
        plain = greedy(model)
    adapted = greedy(model)
    assert plain != adapted

    with hub_endpoint(tmp_path) as endpoint:
        hf = Path(sys.executable).parent / "hf"
        run_client(endpoint, tmp_path, hf, "upload", "team/vllm", adapter)
        done = subprocess.run(
            [
                HERE / "run_vllm.sh",
                GIVEN,
                endpoint,
                base,
                "team/vllm",
                str(TOKENS),
                *map(json.dumps, PROMPTS),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=590,
        )
    assert done.returncode == 0, done.stderr[-4000:]
    assert json.loads(done.stdout.splitlines()[-1]) == {"base": plain, "adapter": adapted}
