"""Maps transformers' layers to what fused operations compute, or says why it cannot."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from parfocal.engine.backends.cuda.fused.operations import Heads, Norm
from parfocal.engine.backends.cuda.fused.projection import Projection
from parfocal.engine.backends.cuda.invariant import InvariantNorm
from parfocal.engine.backends.cuda.lora import GroupedLinear
from parfocal.engine.model import RmsNorm, Scoring, rms_norm_of

# Architectures whose layers these are: others may name their modules alike and mean something else.
ARCHITECTURES = frozenset(("llama", "mistral", "qwen2", "qwen3", "gemma2", "gemma3_text", "phi3"))
# Whether the activation is GELU (by tanh), by the names of transformers' configurations.
_GELU = {"silu": False, "swish": False, "gelu_pytorch_tanh": True}


class NotFused(Exception):
    """Why a model's layers are left to transformers."""


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """One decoder layer: groups of linears by shared input, norms (None for those it lacks), and attention.

    `kind` is the layer's type where rotations differ by it.
    """

    query_key_value: Projection
    output: Projection
    gate_up: Projection
    down: Projection
    before_attention: Norm
    after_attention: Norm | None
    before_feed_forward: Norm
    after_feed_forward: Norm | None
    heads: Heads
    scoring: Scoring
    kind: str


@dataclass(frozen=True, slots=True)
class DecoderPlan:
    """All layers, the norm after them, and what they share."""

    layers: tuple[LayerPlan, ...]
    norm: Norm
    gelu: bool
    softcap: float | None
    kinds: tuple[tuple[str, ...], ...]

    @property
    def projections(self) -> list[Projection]:
        """All products of all layers."""
        return [
            projection
            for layer in self.layers
            for projection in (layer.query_key_value, layer.output, layer.gate_up, layer.down)
        ]

    def rotation_of(self, layer: LayerPlan) -> int:
        """Which of the rotations of `kinds` a layer takes."""
        return self.kinds.index((layer.kind,)) if (layer.kind,) in self.kinds else 0


def plan_of(model: nn.Module, kv_heads: int, head_dim: int) -> DecoderPlan:
    """The model's plan. Raises NotFused if one of its parts is none that fused operations compute."""
    known: Any = model
    text = known.config.get_text_config()
    if text.model_type not in ARCHITECTURES:
        raise NotFused(f"architecture {text.model_type} has no plan")
    activation = getattr(text, "hidden_activation", None) or text.hidden_act
    if activation not in _GELU:
        raise NotFused(f"its activation is {activation}")
    if text.model_type.startswith("gemma") and not hasattr(known.model.embed_tokens, "embed_scale"):
        raise NotFused("its embeddings are scaled outside their module")
    sizes = text.num_attention_heads, kv_heads, head_dim
    layers = tuple(_layer(layer, text, sizes) for layer in known.model.layers)
    return DecoderPlan(
        layers=layers,
        norm=_norm(known.model.norm),
        gelu=_GELU[activation],
        softcap=getattr(text, "final_logit_softcapping", None),
        kinds=_rotation_kinds(layers, known.model.rotary_emb),
    )


def _layer(layer: Any, text: Any, sizes: tuple[int, int, int]) -> LayerPlan:
    attention, mlp = layer.self_attn, layer.mlp
    before_attention, after_attention, before_feed_forward, after_feed_forward = _norms(layer)
    if len({norm.epsilon for norm in _norms(layer) if norm is not None}) > 1:
        raise NotFused("its norms have different epsilons")
    window = getattr(attention, "sliding_window", getattr(text, "sliding_window", None))
    return LayerPlan(
        query_key_value=_projection(attention, ("qkv_proj",), ("q_proj", "k_proj", "v_proj"), many=True),
        output=_projection(attention, ("o_proj",)),
        gate_up=_projection(mlp, ("gate_up_proj",), ("gate_proj", "up_proj"), many=True),
        down=_projection(mlp, ("down_proj",)),
        before_attention=before_attention,
        after_attention=after_attention,
        before_feed_forward=before_feed_forward,
        after_feed_forward=after_feed_forward,
        heads=_heads(attention, sizes),
        # Gemma 3 keeps the setting but does not cap.
        scoring=Scoring(
            attention.scaling, window, getattr(text, "attn_logit_softcapping", None) if _caps(text) else None
        ),
        kind=getattr(attention, "layer_type", None) or "",
    )


def _caps(text: Any) -> bool:
    known: str = text.model_type
    return known == "gemma2"


def _projection(owner: Any, *choices: tuple[str, ...], many: bool = False) -> Projection:
    """The first of the groups whose linears are all there, side by side in one group."""
    for names in choices:
        modules = [getattr(owner, name, None) for name in names]
        if all(isinstance(module, GroupedLinear) for module in modules):
            groups = {module.group for module in modules if isinstance(module, GroupedLinear)}
            group = groups.pop()
            if not groups and len(group.linears) == len(names):
                return Projection(group, many=many)
    raise NotFused(f"{type(owner).__name__} has no {' or '.join('+'.join(names) for names in choices)}")


def _norms(layer: Any) -> tuple[Norm, Norm | None, Norm, Norm | None]:
    """The norms before and after attention, before and after the feed-forward layer.

    Gemma has all four; elsewhere the one that is called `post_attention` stands before the feed-forward
    layer.
    """
    first, second = _norm(layer.input_layernorm), _norm(layer.post_attention_layernorm)
    if hasattr(layer, "pre_feedforward_layernorm"):
        third, fourth = layer.pre_feedforward_layernorm, layer.post_feedforward_layernorm
        return first, second, _norm(third), _norm(fourth)
    return first, None, second, None


def _heads(attention: Any, sizes: tuple[int, int, int]) -> Heads:
    found = [getattr(attention, name, None) for name in ("q_norm", "k_norm")]
    if found == [None, None]:
        return Heads(*sizes)
    query_norm, key_norm = (_norm(module) for module in found)
    if any(norm.weight.numel() != sizes[2] for norm in (query_norm, key_norm)):
        raise NotFused("its queries' norm spans several heads")
    if query_norm.epsilon != key_norm.epsilon:
        raise NotFused("its norms have different epsilons")
    return Heads(*sizes, query_norm, key_norm)


def _norm(module: Any) -> Norm:
    found: RmsNorm | None = module.norm if isinstance(module, InvariantNorm) else rms_norm_of(module)
    if found is None:
        raise NotFused(f"{type(module).__name__} is no root-mean-square norm")
    return Norm(found.weight.contiguous(), found.epsilon)


def _rotation_kinds(layers: tuple[LayerPlan, ...], rotary: Any) -> tuple[tuple[str, ...], ...]:
    """The rotary module's layer types, if it has several; otherwise nothing."""
    kinds = sorted({layer.kind for layer in layers})
    by_kind = hasattr(rotary, f"{kinds[0]}_inv_freq")
    return tuple((kind,) for kind in kinds) if by_kind else ((),)
