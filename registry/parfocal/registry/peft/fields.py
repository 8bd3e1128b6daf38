"""Which fields of PEFT's `LoraConfig` (0.21) serving can honour, and why it cannot honour the others.

A field in none of these tables is refused unless it is empty: a field newer than this list may change the
result. Trainers' notes are ignored, and named in a warning.
"""

from collections.abc import Mapping

from parfocal.registry.errors import UnsupportedAdapter
from parfocal.registry.values import JSON

CONVERT_MLX = (
    "convert it to PEFT's names and layout: lora_a and lora_b, transposed, become "
    "base_model.model.<module>.lora_A.weight and .lora_B.weight in adapter_model.safetensors, and "
    "adapter_config.json gets r, lora_alpha (scale times rank) and target_modules"
)

_SHOWN = 5
_UNKNOWN = "the field is not known here and may change the result; remove it if it does not"

# These decide the result and are read by peft_config.
_USED = frozenset({
    "base_model_name_or_path", "revision", "r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern",
    "target_modules", "exclude_modules", "layers_to_transform", "layers_pattern",
})  # fmt: skip

# These matter only in training; publishing sets them for inference.
_HARMLESS = frozenset({
    "auto_mapping", "peft_version", "inference_mode", "lora_dropout", "runtime_config", "ensure_weight_tying",
    "qalora_group_size", "megatron_core", "eva_config", "corda_config", "loftq_config", "lora_ga_config",
    "velora_config",
})  # fmt: skip

# Added to PEFT's fields by trainers and people: how the weights were made, not what they do.
_NOTES = frozenset({
    "author", "base_model_class", "batch_size", "created_at", "dataset", "date", "description", "dtype",
    "epochs", "finetuning_type", "framework", "gradient_accumulation_steps", "gradient_checkpointing",
    "job_id", "learning_rate", "library_name", "license", "lora_dtype", "loraplus_lr_ratio", "lorap_emb_lr",
    "lorap_lr_ratio", "lr", "lr_scheduler_type", "max_seq_length", "max_steps", "merge_weights", "name",
    "notes", "num_epochs", "num_train_epochs", "optim", "optimizer", "parent_library", "random_state",
    "run_name", "seed", "steps", "tags", "torch_dtype", "train_type", "trainer", "unsloth_fixed",
    "use_gradient_checkpointing", "version", "warmup_steps", "weight_decay",
})  # fmt: skip
_NOTE_ENDS = ("_version", "_url", "_date", "_time")

# name -> (values that mean "off", why it is refused when it is on)
_OFF: tuple[JSON, ...] = (None, False, [], {})
_REFUSED: Mapping[str, str] = {
    "use_dora": "DoRA scales the columns of the base's weights, which a shared 4-bit base cannot do",
    "modules_to_save": "it replaces whole modules of the base, which all adapters share",
    "lora_bias": "a bias on lora_B is not computed in the batch",
    "trainable_token_indices": "it changes the base's embeddings, which all adapters share",
    "layer_replication": "it changes the base's layers, which all adapters share",
    "target_parameters": "it adapts bare parameters (for example experts), not linear modules",
    "alora_invocation_tokens": "an activated LoRA is on for a part of the text only",
    "use_qalora": "QALoRA pools the inputs of lora_A",
    "use_bdlora": "block-diagonal factors are not computed in the batch",
    "arrow_config": "Arrow routes between several adapters per token",
    "kasa_config": "KaSA truncates the base's weights, which all adapters share",
    "monteclora_config": "Monte Carlo LoRA samples its weights",
    "megatron_config": "Megatron's parallel linears are not served",
    "fan_in_fan_out": "transposed weights (Conv1D, as in GPT-2) are not served",
}

KNOWN_FIELDS = _USED | _HARMLESS | _REFUSED.keys() | {"peft_type", "task_type", "bias", "init_lora_weights"}

# Initialisations that leave the base's weights unchanged; the others subtract something from them.
_PLAIN_INITS: tuple[JSON, ...] = (None, True, False, "gaussian", "orthogonal", "eva", "mica")


def check_fields(fields: Mapping[str, JSON]) -> tuple[str, ...]:
    """Warnings about fields that are ignored.

    Raises UnsupportedAdapter, with field and reason, if the configuration needs something unsupported.
    """
    _refuse_mlx(fields)
    _require(fields, "peft_type", "LORA", ("LORA",), "only LoRA adapters are served")
    _require(fields, "task_type", "CAUSAL_LM", (None, "CAUSAL_LM"), "only causal language models are served")
    _require(fields, "bias", "none", ("none",), "the base's biases are shared by all adapters")
    for name, why in _REFUSED.items():
        if not _is_off(fields.get(name)):
            raise _unsupported(name, fields[name], why)
    _check_initialisation(fields.get("init_lora_weights", True))
    return _ignored(fields)


def decides(name: str) -> bool:
    """Whether a field may change the result; what is unknown may."""
    return name not in _HARMLESS and not _is_note(name)


def _refuse_mlx(fields: Mapping[str, JSON]) -> None:
    for name in ("fine_tune_type", "lora_parameters"):
        if fields.get(name) is not None and "peft_type" not in fields:
            raise _unsupported(name, fields[name], f"this is an MLX adapter; {CONVERT_MLX}")


def _require(
    fields: Mapping[str, JSON], name: str, default: str, allowed: tuple[JSON, ...], why: str
) -> None:
    value = fields.get(name, default if name != "peft_type" else None)
    if value not in allowed:
        raise _unsupported(name, value, why)


def _check_initialisation(value: JSON) -> None:
    if value not in _PLAIN_INITS:
        raise _unsupported(
            "init_lora_weights", value,
            "this initialisation changes the base's weights, so the adapter fits only the changed base; "
            "convert it with PEFT's path_initial_model_for_weight_conversion",
        )  # fmt: skip


def _ignored(fields: Mapping[str, JSON]) -> tuple[str, ...]:
    notes = []
    for name in sorted(fields.keys() - KNOWN_FIELDS):
        if _is_note(name):
            notes.append(name)
        elif not _is_off(fields[name]):
            raise _unsupported(name, fields[name], _UNKNOWN)
    if not notes:
        return ()
    shown = ", ".join(_shown(name[:80]) for name in notes[:_SHOWN]) + (", …" if len(notes) > _SHOWN else "")
    return (f"adapter_config.json has fields of its trainer, which were left out: {shown}",)


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _is_note(name: str) -> bool:
    return name in _NOTES or name.startswith("_") or name.endswith(_NOTE_ENDS)


def _is_off(value: JSON) -> bool:
    return any(value is off or (value == off and type(value) is type(off)) for off in _OFF)


def _unsupported(name: str, value: JSON, why: str) -> UnsupportedAdapter:
    return UnsupportedAdapter(f"adapter_config.json sets {name} to {str(value)[:120]!a}: {why}", field=name)
