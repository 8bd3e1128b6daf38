"""Writes a base folder that transformers loads: configuration, bf16 weights, tokenizer and chat template."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaConfig

from tiny_base.network import Network, Shape
from tiny_base.tokenizer import CHAT_TEMPLATE, END, PAD, START, special_id


def export_tokenizer(tokenizer: Tokenizer, shape: Shape, folder: Path) -> None:
    """Writes tokenizer.json, tokenizer_config.json and chat_template.jinja."""
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
    # Written here and not by transformers 5, whose layout transformers 4 cannot read.
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END,
        "pad_token": PAD,
        "additional_special_tokens": [START],
        "model_max_length": shape.context,
        "padding_side": "right",
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def export_weights(network: Network, tokenizer: Tokenizer, folder: Path) -> None:
    """Writes config.json, generation_config.json and model.safetensors (tied embeddings are stored once)."""
    end, pad = special_id(tokenizer, END), special_id(tokenizer, PAD)
    _config(network.shape, end, pad).save_pretrained(folder)
    GenerationConfig(do_sample=False, eos_token_id=end, pad_token_id=pad).save_pretrained(folder)
    weights = {name: tensor.to(torch.bfloat16).contiguous() for name, tensor in network.state_dict().items()}
    unfinished = folder / "model.safetensors.unfinished"
    save_file(weights, unfinished, metadata={"format": "pt"})
    unfinished.replace(folder / "model.safetensors")


def load_weights(network: Network, folder: Path) -> None:
    """Fills the network from a folder that `export_weights` wrote."""
    weights = load_file(folder / "model.safetensors")
    network.load_state_dict({name: tensor.float() for name, tensor in weights.items()})


def _config(shape: Shape, end: int, pad: int) -> LlamaConfig:
    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context,
        rope_parameters={"rope_type": "default", "rope_theta": shape.rope_theta},
        rms_norm_eps=shape.norm_epsilon,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        dtype="bfloat16",
    )
