"""Small random bases of every supported architecture, with a byte-level tokenizer, as local folders."""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
)

VOCABULARY = 320
_SIZE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 192,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.15,
    "bos_token_id": 256,
    "eos_token_id": 257,
    "pad_token_id": 258,
}
_LAYERS = ["sliding_attention", "full_attention", "sliding_attention"]


def configurations(layers: int = 3) -> dict[str, PretrainedConfig]:
    """Returns one configuration for each supported architecture, with its own features switched on.

    Two layers are the fewest that have one of each kind, where layers differ.
    """
    size = _SIZE | {"num_hidden_layers": layers}
    return {
        "llama": LlamaConfig(**size),
        "mistral": MistralConfig(**size, sliding_window=24),
        "qwen2": Qwen2Config(**size),
        "qwen3": Qwen3Config(**size, head_dim=64),
        "gemma2": Gemma2Config(
            **size, head_dim=32, sliding_window=24, attn_logit_softcapping=20.0, final_logit_softcapping=10.0
        ),
        "gemma3": Gemma3TextConfig(**size, head_dim=64, sliding_window=24, layer_types=_LAYERS[:layers]),
        "phi3": Phi3Config(**size, sliding_window=40),
    }


def write_base(folder: Path, config: PretrainedConfig, seed: int = 0) -> Path:
    """Writes a base with random weights and returns its folder."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """Returns a tokenizer with one token for each byte and three special ones."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<|bos|>", eos_token="<|eos|>", pad_token="<|pad|>"
    )
    wrapped.chat_template = (
        "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    return wrapped
