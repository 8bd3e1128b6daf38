"""Bases and adapters that several engine tests share.

What loads torch is imported where it is used: the scheduler's tests do without.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from transformers import LlamaForCausalLM


@pytest.fixture(scope="session")
def llama_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small random Llama, written once a session."""
    from oracle.bases import configurations, write_base

    return write_base(tmp_path_factory.mktemp("bases") / "llama", configurations()["llama"])


@pytest.fixture
def small_llama() -> "LlamaForCausalLM":
    """A Llama in memory, to read adapters for."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=96,
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    return LlamaForCausalLM(config)


@pytest.fixture
def shapes(small_llama: "LlamaForCausalLM") -> dict[str, tuple[int, int]]:
    """(in_features, out_features) of each linear of `small_llama`."""
    import torch

    linears = {path: m for path, m in small_llama.named_modules() if isinstance(m, torch.nn.Linear)}
    return {path: (m.in_features, m.out_features) for path, m in linears.items()}


@pytest.fixture
def folder(tmp_path: Path, shapes: Mapping[str, tuple[int, int]]) -> Path:
    """A plain rank-4 adapter of one module, written by hand."""
    import torch

    from fakes.engine.adapter_folder import Q0, write_weights

    in_features, out_features = shapes[Q0]
    write_weights(tmp_path, a=torch.ones(4, in_features), b=torch.ones(out_features, 4))
    return tmp_path
