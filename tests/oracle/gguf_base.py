"""A small Llama as llama.cpp reads it: float32 throughout, and tokens that only have ids."""

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import torch
from safetensors.torch import load_file

_NORMAL, _UNKNOWN, _CONTROL = 1, 2, 3


def write_gguf_base(folder: Path, target: Path) -> None:
    """Writes the base in `folder`, whose weights are one file."""
    config = json.loads((folder / "config.json").read_text())
    heads, keys = config["num_attention_heads"], config["num_key_value_heads"]
    writer = gguf.GGUFWriter(target, "llama")
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(keys)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_dimension_count(config["hidden_size"] // heads)
    writer.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    _add_tokens(writer, config["vocab_size"])
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    for name, tensor in load_file(folder / "model.safetensors").items():
        rows = {"q_proj": heads, "k_proj": keys}.get(name.split(".")[-2], 0)
        array = _interleaved(tensor, rows) if rows else tensor
        writer.add_tensor(
            str(names.get_name(name, try_suffixes=(".weight",))), array.float().contiguous().numpy()
        )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _interleaved(weight: torch.Tensor, heads: int) -> torch.Tensor:
    """The rows of a head's two halves in turns, as llama.cpp's rotary embedding wants them."""
    order = np.arange(weight.shape[0]).reshape(heads, 2, -1).swapaxes(1, 2).reshape(-1)
    return weight[torch.from_numpy(order)]


def _add_tokens(writer: Any, size: int) -> None:
    # No token is a byte: llama.cpp's server keeps those that are no whole character to itself.
    tokens = [("<unk>", _UNKNOWN), ("<s>", _CONTROL), ("</s>", _CONTROL)]
    tokens += [(f"token{number}", _NORMAL) for number in range(len(tokens), size)]
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text for text, _ in tokens])
    writer.add_token_scores([0.0] * size)
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
