"""The rotary embedding that a configuration means, whichever of its spellings it uses.

Follows `convert_rope_params_to_dict` of transformers' configuration classes: `rope_theta` and `rope_scaling`
beside each other (up to release 4), or `rope_parameters`, for all layers or for each kind of layer (5).
"""

from collections.abc import Mapping

from parfocal.registry.values import JSON

_THETA = 10000.0
_GEMMA3_THETA = {"full_attention": 1000000.0, "sliding_attention": 10000.0}
_PRETRAINED_LENGTH = "original_max_position_embeddings"
_SCALED_FROM_LENGTH = ("llama3", "yarn", "longrope")
_PHI3_NAMES = {"su": "longrope", "yarn": "longrope"}


def rotary_meaning(config: Mapping[str, JSON], fields: Mapping[str, JSON], kind: str) -> JSON:
    """Gives one spelling to what `config` says; `fields` are its other fields, defaults filled in."""
    if kind == "gemma3_text":
        return _by_layer_kind(config, fields)
    written = _object(config.get("rope_scaling")) or _object(config.get("rope_parameters"))
    kinds = [name for name in written if name in _layer_kinds(fields)]
    if kinds:
        return {name: _one(_object(written[name]), config, fields, kind) for name in kinds}
    return _one(written, config, fields, kind)


def _one(
    written: Mapping[str, JSON], config: Mapping[str, JSON], fields: Mapping[str, JSON], kind: str
) -> dict[str, JSON]:
    rope: dict[str, JSON] = {
        name: value for name, value in written.items() if name != "type" and value is not None
    }
    rope.setdefault("rope_type", written.get("type") or "default")
    rope.setdefault("rope_theta", config.get("rope_theta") or _THETA)
    rope.setdefault("partial_rotary_factor", config.get("partial_rotary_factor") or 1.0)
    if kind == "phi3":
        rope["rope_type"] = _PHI3_NAMES.get(str(rope["rope_type"]), rope["rope_type"])
    if rope["rope_type"] in _SCALED_FROM_LENGTH:
        if _PRETRAINED_LENGTH in fields:
            rope[_PRETRAINED_LENGTH] = fields[_PRETRAINED_LENGTH]
        rope.setdefault(_PRETRAINED_LENGTH, fields["max_position_embeddings"])
    if rope["rope_type"] == "default":
        return {name: rope[name] for name in ("rope_type", "rope_theta", "partial_rotary_factor")}
    return rope


def _by_layer_kind(config: Mapping[str, JSON], fields: Mapping[str, JSON]) -> dict[str, JSON]:
    written = _object(config.get("rope_parameters"))
    # Without `rope_parameters` the class starts from this, and an old `type` in `rope_scaling` goes unheard.
    plain = {} if written else {"rope_type": "default"}
    full = {**plain, **_object(written.get("full_attention")), **_object(config.get("rope_scaling"))}
    bases = {
        "full_attention": (full, config.get("rope_theta")),
        "sliding_attention": (_object(written.get("sliding_attention")), config.get("rope_local_base_freq")),
    }
    return {
        name: _one({"rope_theta": theta or _GEMMA3_THETA[name], **parameters}, {}, fields, "gemma3_text")
        for name, (parameters, theta) in bases.items()
    }


def _layer_kinds(fields: Mapping[str, JSON]) -> tuple[str, ...]:
    kinds = fields.get("layer_types")
    return tuple(str(kind) for kind in kinds) if isinstance(kinds, list) else ()


def _object(value: JSON) -> Mapping[str, JSON]:
    return value if isinstance(value, Mapping) else {}
