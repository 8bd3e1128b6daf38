"""The trainer's own forward pass of a small Llama.

Parameter names equal those of transformers' `LlamaForCausalLM`, so that exporting is a cast and not a
mapping. It knows nothing about text, batches or optimisers.
"""

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a Llama decoder with tied embeddings; every linear dimension should be a multiple of 64."""

    vocabulary: int = 2048
    hidden: int = 256
    intermediate: int = 704
    layers: int = 4
    heads: int = 8
    context: int = 1024
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-5

    @property
    def head_dim(self) -> int:
        """The width of one attention head."""
        return self.hidden // self.heads

    def as_json(self) -> dict[str, int | float]:
        """Writes the sizes as a flat JSON object."""
        return asdict(self)


class Network(nn.Module):
    """A causal language model whose matrices are kept in fp32 and multiplied in bf16."""

    def __init__(self, shape: Shape, seed: int) -> None:
        """Fills every matrix from `seed`: normal, 0.02, and smaller for those that write to the residual."""
        super().__init__()
        self.shape = shape
        self.model = _Decoder(shape)
        cosine, sine = _rotations(shape)
        self.register_buffer("cosine", cosine, persistent=False)
        self.register_buffer("sine", sine, persistent=False)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                residual = name.endswith(("o_proj.weight", "down_proj.weight"))
                deviation = 0.02 / (2 * shape.layers) ** 0.5 if residual else 0.02
                nn.init.normal_(parameter, std=deviation, generator=generator)

    def hidden_states(self, tokens: Tensor) -> Tensor:
        """The normed states `[rows, length, hidden]` in bf16 of right-padded `tokens [rows, length]`.

        Padding needs no mask: it stands to the right, where a causal row never looks.
        """
        length = tokens.shape[1]
        rotation = (self.get_buffer("cosine")[:length], self.get_buffer("sine")[:length])
        blocked = torch.full((length, length), float("-inf"), dtype=torch.bfloat16).triu(1)
        states = functional.embedding(tokens, self.model.embed_tokens.weight)
        for layer in self.model.layers:
            states = layer(states, rotation, blocked)
        normed: Tensor = self.model.norm(states)
        return normed

    def logits(self, states: Tensor) -> Tensor:
        """Scores `[..., vocabulary]` in fp32 of bf16 `states [..., hidden]`."""
        return functional.linear(states, self.model.embed_tokens.weight.to(torch.bfloat16)).float()

    def loss(self, tokens: Tensor, weights: Tensor) -> Tensor:
        """The weighted mean cross entropy; `weights [rows, length]` scores the token at its place.

        Only places with a weight above zero go through the output matrix.
        """
        states = self.hidden_states(tokens)[:, :-1]
        chosen = weights[:, 1:] > 0
        each = functional.cross_entropy(self.logits(states[chosen]), tokens[:, 1:][chosen], reduction="none")
        share = weights[:, 1:][chosen]
        return (each * share).sum() / share.sum()


class _Decoder(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(_Layer(shape) for _ in range(shape.layers))
        self.norm = _Norm(shape)


class _Layer(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.input_layernorm = _Norm(shape)
        self.self_attn = _Attention(shape)
        self.post_attention_layernorm = _Norm(shape)
        self.mlp = _Mlp(shape)

    def forward(self, states: Tensor, rotation: tuple[Tensor, Tensor], blocked: Tensor) -> Tensor:
        states = states + self.self_attn(self.input_layernorm(states), rotation, blocked)
        mixed: Tensor = states + self.mlp(self.post_attention_layernorm(states))
        return mixed


class _Norm(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.hidden))
        self.epsilon = shape.norm_epsilon

    def forward(self, states: Tensor) -> Tensor:
        normed = functional.rms_norm(states, (states.shape[-1],), self.weight, self.epsilon)
        return normed.to(torch.bfloat16)


class _Linear(nn.Linear):
    """A matrix without bias that is stored in fp32 and applied in bf16."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, bias=False)

    def forward(self, input: Tensor) -> Tensor:
        return functional.linear(input, self.weight.to(torch.bfloat16))


class _Attention(nn.Module):
    """Plain softmax attention: on a CPU its backward is faster than the fused kernel's at these lengths."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.heads = shape.heads
        self.q_proj = _Linear(shape.hidden, shape.hidden)
        self.k_proj = _Linear(shape.hidden, shape.hidden)
        self.v_proj = _Linear(shape.hidden, shape.hidden)
        self.o_proj = _Linear(shape.hidden, shape.hidden)

    def forward(self, states: Tensor, rotation: tuple[Tensor, Tensor], blocked: Tensor) -> Tensor:
        rows, length, hidden = states.shape
        queries = _rotate(self._split(self.q_proj(states)), rotation)
        keys = _rotate(self._split(self.k_proj(states)), rotation)
        values = self._split(self.v_proj(states))
        scale = (hidden // self.heads) ** -0.5
        scores = torch.baddbmm(blocked, queries, keys.transpose(1, 2), alpha=scale)
        mixed = torch.bmm(scores.softmax(-1), values)
        joined = mixed.view(rows, self.heads, length, -1).transpose(1, 2).reshape(rows, length, hidden)
        out: Tensor = self.o_proj(joined)
        return out

    def _split(self, states: Tensor) -> Tensor:
        """`[rows * heads, length, head_dim]`."""
        rows, length, hidden = states.shape
        heads = states.view(rows, length, self.heads, -1).transpose(1, 2)
        return heads.reshape(rows * self.heads, length, hidden // self.heads)


class _Mlp(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.gate_proj = _Linear(shape.hidden, shape.intermediate)
        self.up_proj = _Linear(shape.hidden, shape.intermediate)
        self.down_proj = _Linear(shape.intermediate, shape.hidden)

    def forward(self, states: Tensor) -> Tensor:
        out: Tensor = self.down_proj(functional.silu(self.gate_proj(states)) * self.up_proj(states))
        return out


def _rotations(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosines and sines `[context, head_dim]` in bf16 (RoPE, half-split as in transformers)."""
    half = torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim
    angles = torch.outer(torch.arange(shape.context, dtype=torch.float32), shape.rope_theta**-half)
    doubled = torch.cat((angles, angles), dim=-1)
    return doubled.cos().to(torch.bfloat16), doubled.sin().to(torch.bfloat16)


def _rotate(heads: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    cosine, sine = rotation
    left, right = heads.chunk(2, dim=-1)
    return heads * cosine + torch.cat((-right, left), dim=-1) * sine
