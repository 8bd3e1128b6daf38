"""Pairs of a base and an adapter, each made once."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from oracle.bases import configurations, write_base
from oracle.exported_pairs import Make, Pair, published
from oracle.peft_oracle import AdapterShape, write_adapter


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Returns a function that gives a pair of an architecture; each is made once."""
    made: dict[str, Pair] = {}

    def make(kind: str = "llama", dtype: torch.dtype = torch.float32, **options: Any) -> Pair:
        key = f"{kind} {dtype} {options}"
        if key not in made:
            made[key] = _made(tmp_path_factory.mktemp("pair"), kind, dtype, options)
        return made[key]

    return make


def _made(folder: Path, kind: str, dtype: torch.dtype, options: dict[str, Any]) -> Pair:
    base = write_base(folder / "base", configurations(2)[kind])
    if dtype is not torch.float32:
        model = AutoModelForCausalLM.from_pretrained(base, dtype=dtype)
        model.save_pretrained(base)
    adapter = write_adapter(folder / "adapter", base, AdapterShape(4, options=options), seed=1)
    return published(folder, base, adapter)
