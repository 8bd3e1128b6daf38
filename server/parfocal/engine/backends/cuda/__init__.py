"""The engine on CUDA devices: kernels, graphs, and the choice between them. Needs Triton."""

from parfocal.engine.backends.cuda.backend import CudaBackend
from parfocal.engine.backends.cuda.card import Card, card_of

__all__ = ["Card", "CudaBackend", "card_of"]
