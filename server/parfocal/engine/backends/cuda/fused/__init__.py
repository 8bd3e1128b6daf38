"""A base's layers in few launches: what stands between products, fused, and what adds the products up."""

from parfocal.engine.backends.cuda.fused.choice import Fused, StepParts, choose_fused
from parfocal.engine.backends.cuda.fused.decoder import FusedDecoder, StoredAttention
from parfocal.engine.backends.cuda.fused.plan import ARCHITECTURES
from parfocal.engine.backends.cuda.fused.shrink_choice import Timing

__all__ = [
    "ARCHITECTURES",
    "Fused",
    "FusedDecoder",
    "StepParts",
    "StoredAttention",
    "Timing",
    "choose_fused",
]
