"""Writes small PEFT folders and bases by hand, with struct and json: no tensor library, every byte chosen."""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

HIDDEN, INTERMEDIATE, LAYERS, HEADS, KV_HEADS = 16, 32, 2, 4, 2
HEAD_DIM = HIDDEN // HEADS
FEATURES = {
    "q_proj": (HIDDEN, HEADS * HEAD_DIM),
    "k_proj": (HIDDEN, KV_HEADS * HEAD_DIM),
    "v_proj": (HIDDEN, KV_HEADS * HEAD_DIM),
    "o_proj": (HEADS * HEAD_DIM, HIDDEN),
    "gate_proj": (HIDDEN, INTERMEDIATE),
    "up_proj": (HIDDEN, INTERMEDIATE),
    "down_proj": (INTERMEDIATE, HIDDEN),
}

_SIZES = {"F32": 4, "F16": 2, "BF16": 2, "F64": 8, "I64": 8}


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of one repeated byte, or of given bytes."""

    shape: tuple[int, ...]
    dtype: str = "F32"
    fill: int = 1

    @property
    def data(self) -> bytes:
        size = _SIZES[self.dtype]
        for length in self.shape:
            size *= length
        return bytes([self.fill]) * size


@dataclass(frozen=True, slots=True)
class Adapter:
    """What a PEFT folder is to hold; the defaults are a good adapter of rank 4 on q_proj and v_proj."""

    rank: int = 4
    modules: Sequence[str] = ("q_proj", "v_proj")
    layers: Sequence[int] = (0, 1)
    fill: int = 1
    config: Mapping[str, object] = field(default_factory=dict)
    tensors: Mapping[str, Tensor | None] = field(default_factory=dict)
    base: str | None = "small-base"


def write_adapter(folder: Path, adapter: Adapter | None = None) -> Path:
    """Writes `adapter` as PEFT would and returns the folder."""
    adapter = adapter or Adapter()
    folder.mkdir(parents=True, exist_ok=True)
    config = {**peft_config(adapter), **adapter.config}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=2))
    (folder / "adapter_model.safetensors").write_bytes(safetensors(adapter_tensors(adapter)))
    return folder


def peft_config(adapter: Adapter) -> dict[str, object]:
    """Returns the configuration that PEFT 0.21 writes for a plain LoRA."""
    off = (
        "alora_invocation_tokens", "arrow_config", "auto_mapping", "corda_config", "eva_config",
        "exclude_modules", "kasa_config", "layer_replication", "layers_pattern", "layers_to_transform",
        "lora_ga_config", "megatron_config", "modules_to_save", "monteclora_config", "revision",
        "target_parameters", "trainable_token_indices", "use_bdlora", "velora_config",
    )  # fmt: skip
    switches = (
        "ensure_weight_tying",
        "fan_in_fan_out",
        "inference_mode",
        "lora_bias",
        "use_dora",
        "use_qalora",
    )
    return {
        **dict.fromkeys(off),
        **dict.fromkeys(switches, False),
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": adapter.base,
        "r": adapter.rank,
        "lora_alpha": 8,
        "lora_dropout": 0.05,
        "bias": "none",
        "init_lora_weights": True,
        "use_rslora": False,
        "rank_pattern": {},
        "alpha_pattern": {},
        "loftq_config": {},
        "megatron_core": "megatron.core",
        "peft_version": "0.21.2",
        "qalora_group_size": 16,
        "target_modules": list(adapter.modules),
    }


def adapter_tensors(adapter: Adapter) -> dict[str, Tensor]:
    """Returns the factors of every module, with `adapter.tensors` laid over them; None removes one."""
    tensors: dict[str, Tensor] = {}
    for layer in adapter.layers:
        for module in adapter.modules:
            inputs, outputs = FEATURES.get(module, (HIDDEN, HIDDEN))
            part = "self_attn" if module in ("q_proj", "k_proj", "v_proj", "o_proj") else "mlp"
            path = f"base_model.model.model.layers.{layer}.{part}.{module}"
            tensors[f"{path}.lora_A.weight"] = Tensor((adapter.rank, inputs), fill=adapter.fill)
            tensors[f"{path}.lora_B.weight"] = Tensor((outputs, adapter.rank), fill=adapter.fill)
    for name, tensor in adapter.tensors.items():
        if tensor is None:
            del tensors[name]
        else:
            tensors[name] = tensor
    return tensors


def safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    """Returns the bytes of a safetensors file."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, tensor in tensors.items():
        offsets = [len(data), len(data) + len(tensor.data)]
        header[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        data += tensor.data
    return raw_safetensors(json.dumps(header).encode(), data)


def raw_safetensors(header: bytes, data: bytes) -> bytes:
    """Returns a file with exactly this header and data, right or wrong."""
    return struct.pack("<Q", len(header)) + header + data


def write_base(folder: Path, **changes: object) -> Path:
    """Writes configuration and tokenizer of a small Llama that the adapters fit; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": HEADS,
        "num_key_value_heads": KV_HEADS,
        "vocab_size": 64,
        "torch_dtype": "bfloat16",
        "transformers_version": "5.23.0",
        **changes,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.json").write_text(
        json.dumps({"version": "1.0", "model": {"type": "BPE", "vocab": {}}})
    )
    (folder / "tokenizer_config.json").write_text(json.dumps({"model_max_length": 128}))
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m.content }}{% endfor %}")
    return folder
