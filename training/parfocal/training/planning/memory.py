"""How many bytes a QLoRA step holds, counted from the base's shape. Knows no torch.

What autograd keeps was read off transformers' decoder layers, PEFT's 4-bit LoRA layer and our loss.
"""

from dataclasses import dataclass

from parfocal.registry.bases import layer_projections
from parfocal.registry.values import BaseShape
from parfocal.training.hyperparameters import Hyperparameters
from parfocal.training.planning.work import Work

# NF4 with double quantisation: half a byte, an 8-bit scale for 64 weights, and its own for 256 scales.
_BYTES_PER_WEIGHT = 0.5 + 1 / 64 + 4 / (64 * 256)
# An adapter's weight, its gradient, two moments of Adam, and the best so far: all in float32.
_BYTES_PER_TRAINED = 4 + 4 + 8 + 4
# Beside the logits in the base's type: in float32, log-probabilities, their gradient, and the logits'.
_BYTES_PER_LOGIT = 12


@dataclass(frozen=True, slots=True)
class Sizes:
    """A base's shape with its vocabulary. `tied`: the head uses the embedding's weights."""

    shape: BaseShape
    vocabulary: int
    tied: bool

    @property
    def linear_weights(self) -> int:
        """The weights of all linears in all layers: those in 4 bit."""
        sides = layer_projections(self.shape).values()
        return self.shape.layers * sum(wide * tall for wide, tall in sides)

    @property
    def other_weights(self) -> int:
        """The weights of embedding, head and norms."""
        shape = self.shape
        ends = self.vocabulary * shape.hidden * (1 if self.tied else 2)
        return ends + shape.hidden * (2 * shape.layers + 1)

    def adapter_weights(self, rank: int, targets: tuple[str, ...] = ()) -> int:
        """The weights of an adapter of `rank` on `targets`, or on all linears."""
        sides = [
            wide + tall
            for name, (wide, tall) in layer_projections(self.shape).items()
            if not targets or name.rpartition(".")[2] in targets or name in targets
        ]
        return self.shape.layers * rank * sum(sides)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes at a run's peak. `process` is what the libraries take; on a GPU it is none of its memory."""

    process: int
    base: int
    adapter: int
    activations: int
    logits: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.process + self.base + self.adapter + self.activations + self.logits

    def to_json(self) -> dict[str, int]:
        """The parts and their sum, in bytes."""
        return {name: getattr(self, name) for name in self.__slots__} | {"total": self.total}


def memory_needed(
    sizes: Sizes, chosen: Hyperparameters, work: Work, width: int, targets: tuple[str, ...] = ()
) -> Memory:
    """What the step with the largest pass holds; `width` is the bytes of a number that the base computes.

    Gradient checkpointing is not used. On a GPU the logits are never held as a whole, and are not counted.
    """
    shape = sizes.shape
    trained = sizes.adapter_weights(chosen.rank, targets)
    per_token = _layer_bytes(shape, chosen, work.length, width) * shape.layers
    logits = sizes.vocabulary * (width * work.rows * work.columns + (width + _BYTES_PER_LOGIT) * work.answers)
    return Memory(
        process=0,
        base=int(sizes.linear_weights * _BYTES_PER_WEIGHT + sizes.other_weights * width),
        adapter=trained * _BYTES_PER_TRAINED,
        activations=int(per_token * work.rows * work.length),
        logits=logits,
    )


def _layer_bytes(shape: BaseShape, chosen: Hyperparameters, length: int, width: int) -> int:
    """What one layer keeps of one token for the way back."""
    hidden, inner = shape.hidden, shape.intermediate
    queries = shape.heads * shape.head_dim
    norms = 8 * hidden  # both in float32
    gate = 3 * width * inner  # gate, its activation, and what that is multiplied with
    projections = len(layer_projections(shape))
    inner_products = 4 * chosen.rank * projections
    inputs = width * (2 * hidden + queries + inner)  # query, key and value share theirs, as gate and up do
    attention = 3 * width * queries
    if chosen.attention == "eager":
        attention += (4 + (width if width < 4 else 0)) * shape.heads * length  # probabilities
    else:
        attention += width * queries
    return norms + gate + inputs + inner_products + attention
