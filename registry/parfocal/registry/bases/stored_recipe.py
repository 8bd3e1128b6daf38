"""Whether a base is stored quantised, and whether that is the recipe which Parfocal serves."""

from collections.abc import Mapping

from parfocal.registry.errors import BaseUnsupported
from parfocal.registry.values import JSON, Quantisation

# These stay in 16 bits in every 4-bit base that bitsandbytes saves.
_USUALLY_SKIPPED = frozenset({"lm_head", "embed_tokens", "model.embed_tokens"})
_BLOCK_SIZE = 64
_WAY_ON = (
    "give the base that is not quantised, or one that bitsandbytes saved as NF4 with double quantisation"
)


def stored_recipe(config: Mapping[str, JSON]) -> Quantisation | None:
    """Reads how the weights are stored: None for plain numbers, else the one recipe that is served.

    Raises BaseUnsupported, which names the recipe, for every other.
    """
    name = _other_recipe(config)
    if name is not None:
        raise BaseUnsupported(f"the base is stored quantised as {name}; {_WAY_ON}", field="base.quantisation")
    return Quantisation() if _settings(config) else None


def _settings(config: Mapping[str, JSON]) -> Mapping[str, JSON]:
    text = config.get("text_config")
    for holder in (config, text if isinstance(text, Mapping) else {}):
        for key in ("quantization_config", "compression_config", "quantization"):
            value = holder.get(key)
            if isinstance(value, Mapping) and value:
                return value
    return {}


def _other_recipe(config: Mapping[str, JSON]) -> str | None:
    settings = _settings(config)
    method = settings.get("quant_method")
    if not settings:
        return None
    if method in (None, "bitsandbytes") and _is_on(settings, "load_in_8bit"):
        return "bitsandbytes int8 (LLM.int8)"
    if method in (None, "bitsandbytes") and _is_on(settings, "load_in_4bit"):
        return _other_4bit(settings)
    if method is None:
        return (
            "MLX's affine integers" if "group_size" in settings else "a method that config.json does not name"
        )
    bits = settings.get("bits", settings.get("w_bit"))
    return f"{str(method)[:60]}" + (f" with {bits} bits" if isinstance(bits, int) else "")


def _other_4bit(settings: Mapping[str, JSON]) -> str | None:
    """Names a bitsandbytes recipe unless it is the one that is served; absent fields have its defaults."""
    kind = str(settings.get("bnb_4bit_quant_type", "fp4"))
    double = settings.get("bnb_4bit_use_double_quant", False) is True
    storage = str(settings.get("bnb_4bit_quant_storage") or "uint8")
    block_size = settings.get("bnb_4bit_blocksize", _BLOCK_SIZE)
    skipped = settings.get("llm_int8_skip_modules")
    kept = sorted({str(name) for name in skipped} - _USUALLY_SKIPPED) if isinstance(skipped, list) else []
    doubled = "with double quantisation" if double else "without double quantisation"
    if kind != "nf4" or not double:
        return f"bitsandbytes {kind.upper()[:20]} {doubled}"
    if block_size != _BLOCK_SIZE:
        return f"bitsandbytes NF4 {doubled} in blocks of {block_size}"
    if storage != "uint8":
        return f"bitsandbytes NF4 {doubled}, packed as {storage[:20]}"
    if kept:
        return f"bitsandbytes NF4 {doubled}, without {', '.join(kept[:5])}"
    return None


def _is_on(settings: Mapping[str, JSON], name: str) -> bool:
    return settings.get(name) is True or settings.get(f"_{name}") is True
