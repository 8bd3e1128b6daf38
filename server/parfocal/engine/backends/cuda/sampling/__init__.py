"""Choosing tokens on CUDA, in few launches."""

from parfocal.engine.backends.cuda.sampling.bends import CudaBends, choose_bends
from parfocal.engine.backends.cuda.sampling.draws import CudaDraws, choose_draws
from parfocal.engine.backends.cuda.sampling.likeliest import CudaLikeliest, choose_likeliest

__all__ = ["CudaBends", "CudaDraws", "CudaLikeliest", "choose_bends", "choose_draws", "choose_likeliest"]
