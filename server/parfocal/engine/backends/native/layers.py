"""Maps transformers' modules to what the native decoder computes, or finds that it cannot."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import nn

from parfocal.engine.backends.native.linear import NativeLinear, Numbers
from parfocal.engine.backends.native.modules import NativeRmsNorm
from parfocal.engine.lora import AdaptedLinear

# `Activation` in activation.h, by the names of transformers' configurations.
_ACTIVATIONS = {"silu": 0, "swish": 0, "gelu_pytorch_tanh": 1}
_NORMS = ("before_attention", "after_attention", "before_feed_forward", "after_feed_forward")


@dataclass(frozen=True, slots=True)
class Projection:
    """A linear and the path by which adapters name it."""

    path: str
    linear: NativeLinear


@dataclass(frozen=True, slots=True)
class LayerParts:
    """One decoder layer: linears grouped by shared input, and its norms; None for those it lacks."""

    query_key_value: tuple[Projection, ...]
    output: tuple[Projection, ...]
    gate_up: tuple[Projection, ...]
    down: tuple[Projection, ...]
    before_attention: NativeRmsNorm
    after_attention: NativeRmsNorm | None
    before_feed_forward: NativeRmsNorm
    after_feed_forward: NativeRmsNorm | None
    query_norm: NativeRmsNorm | None
    key_norm: NativeRmsNorm | None
    window: int
    kind: str
    scale: float
    softcap: float

    @property
    def projections(self) -> tuple[Projection, ...]:
        """All projections in the order of their groups."""
        return (*self.query_key_value, *self.output, *self.gate_up, *self.down)


@dataclass(frozen=True, slots=True)
class DecoderParts:
    """All layers, and what they share."""

    layers: tuple[LayerParts, ...]
    hidden: int
    heads: int
    feed_forward: int
    activation: int
    epsilon: float
    numbers: Numbers
    logit_softcap: float | None


def parts_of(model: nn.Module) -> DecoderParts | None:
    """The model's parts; None if the native decoder cannot compute one of them."""
    known: Any = model
    text = known.config.get_text_config()
    activation = _ACTIVATIONS.get(getattr(text, "hidden_activation", None) or text.hidden_act)
    layers = tuple(_layer(layer, text) for layer in known.model.layers)
    found = [layer for layer in layers if layer is not None]
    if activation is None or len(found) < len(layers) or not _scales_its_embeddings(known.model, text):
        return None
    shared = {(layer.scale, layer.softcap, *_epsilons(layer)) for layer in found}
    numbers = {one.linear.numbers for layer in found for one in layer.projections}
    if len(shared) != 1 or len(numbers) != 1:
        return None
    return DecoderParts(
        layers=tuple(found),
        hidden=text.hidden_size,
        heads=text.num_attention_heads,
        feed_forward=text.intermediate_size,
        activation=activation,
        epsilon=found[0].before_attention.epsilon,
        numbers=numbers.pop(),
        logit_softcap=getattr(text, "final_logit_softcapping", None),
    )


def _layer(layer: Any, text: Any) -> LayerParts | None:
    attention, mlp = layer.self_attn, layer.mlp
    groups = (
        _projections(attention, "qkv_proj") or _projections(attention, "q_proj", "k_proj", "v_proj"),
        _projections(attention, "o_proj"),
        _projections(mlp, "gate_up_proj") or _projections(mlp, "gate_proj", "up_proj"),
        _projections(mlp, "down_proj"),
    )
    norms = _norms(layer)
    if not all(groups) or any(norm is not None and not isinstance(norm, NativeRmsNorm) for norm in norms):
        return None
    return LayerParts(
        *groups,
        *norms,
        query_norm=getattr(attention, "q_norm", None),
        key_norm=getattr(attention, "k_norm", None),
        window=getattr(attention, "sliding_window", getattr(text, "sliding_window", None)) or 0,
        kind=getattr(attention, "layer_type", None) or "",
        scale=attention.scaling,
        softcap=getattr(attention, "attn_logit_softcapping", None) or 0.0,
    )


def _projections(owner: Any, *names: str) -> tuple[Projection, ...]:
    """The linears of these names; none of them if one is missing or is not native."""
    modules = [getattr(owner, name, None) for name in names]
    found = [
        Projection(module.path, module.base)
        for module in modules
        if isinstance(module, AdaptedLinear) and isinstance(module.base, NativeLinear)
    ]
    return tuple(found) if len(found) == len(names) else ()


def _norms(layer: Any) -> tuple[Any, Any, Any, Any]:
    """The norms before and after attention, before and after the feed-forward layer.

    Gemma has all four; elsewhere the one that is called `post_attention` stands before the feed-forward
    layer.
    """
    if hasattr(layer, "pre_feedforward_layernorm"):
        return (
            layer.input_layernorm,
            layer.post_attention_layernorm,
            layer.pre_feedforward_layernorm,
            layer.post_feedforward_layernorm,
        )
    return layer.input_layernorm, None, layer.post_attention_layernorm, None


def _epsilons(layer: LayerParts) -> Iterator[float]:
    """Yields the norms' epsilons, each once."""
    norms = [getattr(layer, name) for name in (*_NORMS, "query_norm", "key_norm")]
    yield from sorted({norm.epsilon for norm in norms if norm is not None})


def _scales_its_embeddings(decoder: Any, text: Any) -> bool:
    """Whether the embedding module alone makes the layers' input; old Gemmas scale it elsewhere."""
    return not text.model_type.startswith("gemma") or hasattr(decoder.embed_tokens, "embed_scale")
