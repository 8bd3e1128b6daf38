"""Choosing tokens on CUDA, in few launches."""

from parfocal.engine.backends.cuda.sampling.draws import CudaDraws, choose_draws
from parfocal.engine.backends.cuda.sampling.likeliest import CudaLikeliest, choose_likeliest

__all__ = ["CudaDraws", "CudaLikeliest", "choose_draws", "choose_likeliest"]
