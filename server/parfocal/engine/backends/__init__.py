"""What computes: plain torch, our CPU kernels, our CUDA kernels; and the choice between them."""

from parfocal.engine.backends.choice import choose_backend

__all__ = ["choose_backend"]
