"""What a base's `config.json` means: the same value for every spelling of the same decoder.

Defaults are filled in, old names replaced, and whatever computing does not depend on left out. An unknown
architecture keeps all its fields except those that are neutral everywhere.
"""

from collections.abc import Mapping

from parfocal.registry.bases.decoder_classes import CLASS_DEFAULTS, NEUTRAL_FIELDS
from parfocal.registry.bases.rotary import rotary_meaning
from parfocal.registry.values import JSON, PLAIN_PREFIX

# Of a model of text and images, only the text decoder is served.
_TEXT_PARTS = {"gemma3": "gemma3_text"}
_SLIDING, _FULL = "sliding_attention", "full_attention"
_OLD_LAYER_KINDS = {"attention": _FULL}
_MOST_LAYERS = 10_000
_NEVER_COUNTS = NEUTRAL_FIELDS | {
    "_name_or_path", "_commit_hash", "_attn_implementation", "_attn_implementation_autoset",
    "attn_implementation", "torch_dtype", "quantization_config", "auto_map", "name_or_path",
}  # fmt: skip


def decoder_kind(config: Mapping[str, JSON]) -> str | None:
    """Names the configuration class that reads `config`, if its defaults are known."""
    kind = config.get("model_type")
    kind = _TEXT_PARTS.get(kind, kind) if isinstance(kind, str) else None
    return kind if kind in CLASS_DEFAULTS else None


def layers_prefix(config: Mapping[str, JSON]) -> str:
    """Says what the paths of the decoder's layers begin with, in transformers."""
    return "model.language_model." if config.get("model_type") in _TEXT_PARTS else PLAIN_PREFIX


def decoder_fields(config: Mapping[str, JSON]) -> dict[str, JSON] | None:
    """Resolves every field that computing depends on; None where the class's defaults are not known."""
    kind = decoder_kind(config)
    if kind is None:
        return None
    text = _text_part(config)
    defaults = CLASS_DEFAULTS[kind]
    fields = {name: text.get(name, default) for name, default in defaults.items()}
    _resolve_attention(fields, text, defaults)
    _resolve_activation(fields, kind)
    _resolve_windows(fields, text, kind)
    fields["rotary"] = rotary_meaning(text, fields, kind)
    fields.pop("original_max_position_embeddings", None)  # counts only in the rotary embedding
    if text.get("per_layer_config") is not None:
        fields["per_layer_config"] = text["per_layer_config"]
    return fields


def config_meaning(config: Mapping[str, JSON]) -> dict[str, JSON]:
    """Describes the decoder that `config` means, with one spelling for each number."""
    fields = decoder_fields(config)
    if fields is None:
        fields = _generic(config)
    return {
        name: _one_spelling(value) for name, value in {**fields, "kind": config.get("model_type")}.items()
    }


def _text_part(config: Mapping[str, JSON]) -> Mapping[str, JSON]:
    if config.get("model_type") not in _TEXT_PARTS:
        return config
    text = config.get("text_config")
    text = text if isinstance(text, Mapping) else {}
    tied = config.get("tie_word_embeddings")
    return text if tied is None else {**text, "tie_word_embeddings": tied}


def _resolve_attention(
    fields: dict[str, JSON], text: Mapping[str, JSON], defaults: Mapping[str, JSON]
) -> None:
    heads, hidden = fields["num_attention_heads"], fields["hidden_size"]
    if fields["num_key_value_heads"] is None:
        fields["num_key_value_heads"] = heads
    size = text.get("head_dim", defaults.get("head_dim"))
    if size is None and isinstance(heads, int) and isinstance(hidden, int) and heads > 0:
        size = hidden // heads
    fields["head_dim"] = size


def _resolve_activation(fields: dict[str, JSON], kind: str) -> None:
    # Gemma's first configurations say "gelu" and mean its approximation; transformers corrects it as well.
    if kind == "gemma" and fields["hidden_act"] == "gelu":
        fields["hidden_act"] = "gelu_pytorch_tanh"
    if "use_bidirectional_attention" in fields:
        fields["use_bidirectional_attention"] = bool(fields["use_bidirectional_attention"])


def _resolve_windows(fields: dict[str, JSON], text: Mapping[str, JSON], kind: str) -> None:
    """Says which layers see a window of the context only; a window that no layer uses is none."""
    if kind in ("qwen2", "qwen3"):
        switched_on, first = fields.pop("use_sliding_window"), fields.pop("max_window_layers")
        if not switched_on:
            fields["sliding_window"] = None
    if "layer_types" not in fields:
        return
    layers, window = fields["num_hidden_layers"], fields["sliding_window"]
    if fields["layer_types"] is None and isinstance(layers, int) and layers <= _MOST_LAYERS:
        if kind in ("qwen2", "qwen3"):
            slides = [window is not None and _at_least(layer, first) for layer in range(layers)]
        else:
            every = 2 if kind == "gemma2" else _pattern(text)
            slides = [bool((layer + 1) % every) for layer in range(layers)]
        fields["layer_types"] = [_SLIDING if slide else _FULL for slide in slides]
    kinds = fields["layer_types"]
    if isinstance(kinds, list):
        fields["layer_types"] = [_OLD_LAYER_KINDS.get(str(kind), kind) for kind in kinds]
        if _SLIDING not in kinds:
            fields["sliding_window"] = None


def _at_least(layer: int, first: JSON) -> bool:
    return isinstance(first, int) and layer >= first


def _pattern(text: Mapping[str, JSON]) -> int:
    every = text.get("sliding_window_pattern", 6)
    return every if isinstance(every, int) and every > 0 else 6


def _generic(config: Mapping[str, JSON]) -> dict[str, JSON]:
    return {
        name: _generic(value) if isinstance(value, Mapping) else value
        for name, value in config.items()
        if name not in _NEVER_COUNTS and value is not None
    }


def _one_spelling(value: JSON) -> JSON:
    """Writes 10000.0 as 10000, and what canonical JSON cannot hold as text."""
    if isinstance(value, Mapping):
        return {key: _one_spelling(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_one_spelling(item) for item in value]
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1 << 53 else _finite(value)
    if isinstance(value, int) and abs(value) >= 1 << 63:
        return str(value)
    return value


def _finite(value: float) -> JSON:
    return value if value - value == 0 else str(value)
