"""Every field of a configuration that transformers' models read is judged: it counts, or it is neutral."""

import sys
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, PretrainedConfig

from oracle.bases import configurations
from parfocal.registry.bases.decoder_classes import CLASS_DEFAULTS, NEUTRAL_FIELDS

# Resolved in other words: the size of a head, and the rotary embedding.
RESOLVED = {"head_dim", "rope_parameters"}


def recording(config: PretrainedConfig, read: set[str]) -> PretrainedConfig:
    """Makes `config` tell which of its fields a model's own code asks for."""

    class Recording(type(config)):  # type: ignore[misc]
        def __getattribute__(self, name: str) -> Any:
            if "/modeling_" in sys._getframe(1).f_code.co_filename and not name.startswith("_"):
                read.add(name)
            return super().__getattribute__(name)

    config.__class__ = Recording
    return config


@pytest.mark.parametrize("kind", configurations())
def test_a_model_reads_no_field_that_nobody_judged(kind: str) -> None:
    config = configurations()[kind]
    fields = set(config.to_dict())
    model_class: Any = AutoModelForCausalLM._model_mapping[type(config)]
    read: set[str] = set()
    model = model_class(recording(config, read))
    with torch.no_grad():
        model(torch.arange(40)[None])

    assert "hidden_size" in read
    assert (read & fields) - CLASS_DEFAULTS[config.model_type].keys() - NEUTRAL_FIELDS - RESOLVED == set()
