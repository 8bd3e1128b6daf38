"""Who computes: plain torch, our kernels for CPUs, our kernels for CUDA; and the choice between them."""

from parfocal.engine.backends.choice import choose_backend

__all__ = ["choose_backend"]
