"""PEFT and transformers on a registry behind HF_ENDPOINT: `python hub_peft.py BASE REPO SCRATCH`.

An adapter goes there and comes back the same: bytes, tensors and what the model computes with them.
"""

import sys
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import HfApi
from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

WEIGHTS = "adapter_model.safetensors"
IDS = torch.arange(5, 21).reshape(2, 8)


def check(base: str, repo: str, scratch: Path) -> None:
    """Raises AssertionError where anything differs."""
    torch.manual_seed(7)
    model = get_peft_model(_base(base), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False))
    model.eval()
    with torch.no_grad():
        expected = model(IDS).logits
    model.push_to_hub(repo)
    model.save_pretrained(str(scratch / "local"))

    found = Path(HfApi().hf_hub_download(repo, WEIGHTS, cache_dir=scratch / "cache"))
    assert found.read_bytes() == (scratch / "local" / WEIGHTS).read_bytes()
    assert PeftConfig.from_pretrained(repo).r == 4
    loaded = PeftModel.from_pretrained(_base(base), repo).eval()
    for name, tensor in load_file(found).items():
        where = name.replace(".weight", ".default.weight")
        assert torch.equal(loaded.state_dict()[where], tensor), name
    with torch.no_grad():
        assert torch.equal(loaded(IDS).logits, expected)

    again = _base(base)
    again.load_adapter(repo, adapter_kwargs={"revision": "1"})  # transformers' own loader
    with torch.no_grad():
        assert torch.equal(again.eval()(IDS).logits, expected)
    print("peft and transformers: what went is what came back")


def _base(base: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)


if __name__ == "__main__":
    check(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
