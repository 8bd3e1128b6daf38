"""Who computes: plain torch, our kernels for CPUs, our kernels for CUDA."""
