"""From logits to tokens: rules, cuts and draws, vectorised over rows that share nothing."""

from parfocal.engine.sampling.sampler import Sampler

__all__ = [
    "Sampler",
]
