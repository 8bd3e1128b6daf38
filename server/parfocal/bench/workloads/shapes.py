"""The shapes of Llama that can be measured, and how much each of their parts weighs. Makes no weights."""

from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.bench.errors import BadWorkload


@dataclass(frozen=True, slots=True)
class Linear:
    """One linear layer of the base, by its path in the transformers model; both sizes in features."""

    path: str
    wide: int
    tall: int

    @property
    def parameters(self) -> int:
        """How many weights it has."""
        return self.wide * self.tall


@dataclass(frozen=True, slots=True)
class Shape:
    """A Llama architecture's sizes. `tied`: the head uses the embedding's weights."""

    name: str
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    vocabulary: int
    context_tokens: int
    tied: bool

    @property
    def head_dim(self) -> int:
        """The features of one attention head."""
        return self.hidden // self.heads

    @property
    def linears(self) -> tuple[Linear, ...]:
        """Every linear inside the decoder layers: what is quantised, and what adapters adapt."""
        kv = self.kv_heads * self.head_dim
        sizes = {
            "self_attn.q_proj": (self.hidden, self.hidden),
            "self_attn.k_proj": (self.hidden, kv),
            "self_attn.v_proj": (self.hidden, kv),
            "self_attn.o_proj": (self.hidden, self.hidden),
            "mlp.gate_proj": (self.hidden, self.intermediate),
            "mlp.up_proj": (self.hidden, self.intermediate),
            "mlp.down_proj": (self.intermediate, self.hidden),
        }
        return tuple(
            Linear(f"model.layers.{layer}.{name}", wide, tall)
            for layer in range(self.layers)
            for name, (wide, tall) in sizes.items()
        )

    @property
    def head_parameters(self) -> int:
        """The weights of the embedding, and so of the head."""
        return self.vocabulary * self.hidden

    def adapter_parameters(self, rank: int) -> int:
        """The weights of an adapter of this rank on all linears."""
        return sum(rank * (linear.wide + linear.tall) for linear in self.linears)

    def kv_values(self) -> int:
        """How many numbers one token leaves in the KV cache."""
        return 2 * self.layers * self.kv_heads * self.head_dim


_ALL = (
    Shape("llama-test", 128, 192, 2, 4, 2, 512, 512, tied=True),
    Shape("llama-135m", 576, 1536, 30, 9, 3, 49152, 2048, tied=True),
    Shape("llama-1b", 2048, 8192, 16, 32, 8, 32000, 4096, tied=False),
    Shape("llama-8b", 4096, 14336, 32, 32, 8, 128256, 8192, tied=False),
)
SHAPES: Mapping[str, Shape] = {shape.name: shape for shape in _ALL}


def shape_named(name: str) -> Shape:
    """The shape of this name. Raises BadWorkload, naming those there are."""
    if name not in SHAPES:
        raise BadWorkload(f"there is no shape {name!r}; there are {', '.join(SHAPES)}", field="shape")
    return SHAPES[name]
