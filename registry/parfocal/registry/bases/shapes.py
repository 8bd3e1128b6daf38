"""The shapes that a plain decoder's projections must have, and the check of an adapter against them.

Checks adapters of architectures whose modules and shapes follow from the configuration; others are left to
serving, which has the base itself.
"""

import re
from collections.abc import Mapping

from parfocal.registry.bases.decoder_config import decoder_fields, decoder_kind, layers_prefix
from parfocal.registry.errors import ContractMismatch, UnsupportedAdapter
from parfocal.registry.values import JSON, BaseShape, TargetModule

_SIZES = (
    "num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads", "num_key_value_heads",
    "head_dim",
)  # fmt: skip
_LAYER = re.compile(r"layers\.(?P<layer>[0-9]{1,6})\.(?P<name>(?:self_attn|mlp)\.[a-z_]+)")
_FUSED_KINDS = ("phi3",)
_SHARED_ENDS = ("lm_head", "embed_tokens")


def shape_of(config: Mapping[str, JSON]) -> BaseShape | None:
    """Reads the sizes from a base's `config.json`, its class's defaults filled in.

    None where they do not decide every projection, so that nothing is checked.
    """
    fields = decoder_fields(config)
    if fields is None:
        return None
    sizes = [_size(fields.get(name)) for name in _SIZES]
    if not all(sizes):
        return None
    layers, hidden, intermediate, heads, kv_heads, head_dim = (size or 0 for size in sizes)
    return BaseShape(
        layers,
        hidden,
        intermediate,
        heads,
        kv_heads,
        head_dim,
        fused=decoder_kind(config) in _FUSED_KINDS,
        prefix=layers_prefix(config),
    )


def check_module(target: TargetModule, shape: BaseShape | None) -> None:
    """Raises UnsupportedAdapter for output and embedding layers, ContractMismatch for other shapes."""
    if target.path.rpartition(".")[2] in _SHARED_ENDS:
        raise UnsupportedAdapter(
            f"module {target.path} is adapted; output and embedding layers are not served yet",
            field=target.path,
        )
    if shape is None:
        return
    projections = layer_projections(shape)
    inside = target.path.removeprefix(shape.prefix)
    match = _LAYER.fullmatch(inside) if target.path.startswith(shape.prefix) else None
    expected = None if match is None else projections.get(match["name"])
    if match is None or expected is None:
        raise ContractMismatch(
            f"module {target.path} is adapted, but the base has no such linear module; it has "
            f"{shape.prefix}layers.0 to {shape.prefix}layers.{shape.layers - 1}, each with "
            f"{', '.join(projections)}",
            field=target.path,
        )
    _check_layer(int(match["layer"]), target.path, shape)
    _check_features("in_features", target.path, expected[0], target.in_features)
    _check_features("out_features", target.path, expected[1], target.out_features)


def layer_projections(shape: BaseShape) -> dict[str, tuple[int, int]]:
    """(in_features, out_features) by a module's name in its layer, of both forms if none is known."""
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    parts = {
        "self_attn.q_proj": (shape.hidden, queries),
        "self_attn.k_proj": (shape.hidden, keys),
        "self_attn.v_proj": (shape.hidden, keys),
        "mlp.gate_proj": (shape.hidden, shape.intermediate),
        "mlp.up_proj": (shape.hidden, shape.intermediate),
    }
    fused = {
        "self_attn.qkv_proj": (shape.hidden, queries + 2 * keys),
        "mlp.gate_up_proj": (shape.hidden, 2 * shape.intermediate),
    }
    always = {
        "self_attn.o_proj": (queries, shape.hidden),
        "mlp.down_proj": (shape.intermediate, shape.hidden),
    }
    return always | ({} if shape.fused else parts) | ({} if shape.fused is False else fused)


def _check_layer(layer: int, path: str, shape: BaseShape) -> None:
    if layer >= shape.layers:
        raise ContractMismatch(
            f"module {path} is in layer {layer}, the base has layers 0 to {shape.layers - 1}",
            field=path, expected=f"< {shape.layers}", actual=str(layer),
        )  # fmt: skip


def _check_features(which: str, path: str, expected: int, actual: int) -> None:
    if expected != actual:
        raise ContractMismatch(
            f"{which} of {path} is {actual} in the adapter, {expected} in the base",
            field=f"{path}.{which}", expected=str(expected), actual=str(actual),
        )  # fmt: skip


def _size(value: JSON) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
