"""Choosing tokens on CUDA, in few launches."""

from parfocal.engine.backends.cuda.sampling.likeliest import CudaLikeliest, choose_likeliest

__all__ = ["CudaLikeliest", "choose_likeliest"]
