"""One version in every form, by the command: loaded again, each gives the tokens that the adapter gives."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from oracle.exported_pairs import Make

PROMPTS = ([5, 9, 40, 41, 42, 7], [200, 201, 3], [17] * 9)


@torch.inference_mode()
def greedy(model: Any) -> list[list[int]]:
    return [_answer(model, prompt) for prompt in PROMPTS]


def _answer(model: Any, prompt: list[int]) -> list[int]:
    ids = list(prompt)
    for _ in range(12):
        ids.append(int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[len(prompt) :]


def loaded(folder: Path) -> Any:
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()


def parfocal(registry: Path, *words: str | Path) -> Any:
    """What a command says as JSON."""
    command = [sys.executable, "-m", "parfocal.cli", *map(str, words), "--registry", str(registry), "--json"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_form_of_a_version_gives_the_tokens_of_the_adapter(pair: Make, tmp_path: Path) -> None:
    made = pair("llama", torch.bfloat16)
    here, there = tmp_path / "here", tmp_path / "there"
    expected = greedy(made.peft())
    pushed = parfocal(here, "push", made.adapter, "team/x", "--base", made.base)

    parfocal(here, "export", "team/x", "--oci", tmp_path / "image")
    back = parfocal(there, "import", "--oci", tmp_path / "image")
    parfocal(there, "pull", "team/x", tmp_path / "pulled")
    merged = parfocal(here, "export", "team/x", "--merged", tmp_path / "merged", "--base", made.base)

    assert back["digest"] == pushed["digest"]
    assert greedy(PeftModel.from_pretrained(loaded(made.base), str(tmp_path / "pulled"))) == expected
    assert (merged["form"], merged["dtypes"], merged["weights"]) == ("merged", ["BF16"], 14)
    assert greedy(loaded(tmp_path / "merged")) == expected


def test_llama_cpps_form_is_written_by_the_command(pair: Make, tmp_path: Path) -> None:
    pytest.importorskip("gguf", reason="the extra gguf is not installed")
    made = pair("llama", torch.bfloat16)
    parfocal(tmp_path / "here", "push", made.adapter, "team/x", "--base", made.base)
    target = tmp_path / "lora.gguf"

    told = parfocal(tmp_path / "here", "export", "team/x", "--gguf-lora", target, "--base", made.base)

    assert (told["form"], told["architecture"], told["alpha"]) == ("gguf-lora", "llama", 16.0)
    assert target.read_bytes()[:4] == b"GGUF"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["here", "lora.gguf"]
