"""From logits to tokens: penalties, truncation and draws, vectorised over independent rows."""

from parfocal.engine.sampling.bends import Bends, PlainBends
from parfocal.engine.sampling.drawn import Drawn
from parfocal.engine.sampling.draws import COLDEST, Draws, PlainDraws
from parfocal.engine.sampling.likeliest import Likeliest, PlainLikeliest
from parfocal.engine.sampling.logit_rules import penalties
from parfocal.engine.sampling.prompt_scores import Scores, score
from parfocal.engine.sampling.sampler import Sampler

__all__ = [
    "COLDEST",
    "Bends",
    "Drawn",
    "Draws",
    "Likeliest",
    "PlainBends",
    "PlainDraws",
    "PlainLikeliest",
    "Sampler",
    "Scores",
    "penalties",
    "score",
]
