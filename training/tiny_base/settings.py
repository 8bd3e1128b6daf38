"""Everything that decides what pre-training makes: the same settings give the same bytes on one machine."""

from dataclasses import asdict, dataclass, field
from typing import Any

from tiny_base.network import Shape


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes and rates of a run; the length is counted in steps of at most `batch_tokens` padded tokens.

    After `steps` comes polishing: from pool `polish_pool` on, invented words are joined from the vocabulary's
    own pieces, so that entries which everyday texts rarely hold can be copied too.
    """

    steps: int = 5200
    seed: int = 1
    batch_tokens: int = 2048
    peak_rate: float = 3e-3
    warm_up: int = 80
    polish_steps: int = 1000
    polish_rate: float = 1.5e-3
    polish_pool: int = 121
    checkpoint_every: int = 400
    tokenizer_documents: int = 40_000
    probe_documents: int = 600
    shape: Shape = field(default_factory=Shape)

    @property
    def last_step(self) -> int:
        """The number of steps with polishing."""
        return self.steps + self.polish_steps

    def as_json(self) -> dict[str, Any]:
        """The settings as a JSON object."""
        return asdict(self)


def smoke(steps: int, seed: int) -> Settings:
    """Settings for a run of seconds: two thin layers, few words, tiny batches."""
    shape = Shape(vocabulary=512, hidden=64, intermediate=128, layers=2, heads=2)
    return Settings(
        steps=steps,
        seed=seed,
        batch_tokens=512,
        polish_steps=1,
        polish_pool=1,
        warm_up=2,
        checkpoint_every=2,
        tokenizer_documents=300,
        probe_documents=20,
        shape=shape,
    )
