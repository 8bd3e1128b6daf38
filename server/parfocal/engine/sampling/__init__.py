"""From logits to tokens: penalties, truncation and draws, vectorised over independent rows."""

from parfocal.engine.sampling.drawn import Drawn
from parfocal.engine.sampling.draws import COLDEST, Draws, PlainDraws
from parfocal.engine.sampling.likeliest import Likeliest, PlainLikeliest
from parfocal.engine.sampling.prompt_scores import Scores, score
from parfocal.engine.sampling.sampler import Sampler

__all__ = [
    "COLDEST",
    "Drawn",
    "Draws",
    "Likeliest",
    "PlainDraws",
    "PlainLikeliest",
    "Sampler",
    "Scores",
    "score",
]
