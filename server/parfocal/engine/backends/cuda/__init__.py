"""The engine on CUDA devices: kernels, graphs, and what chooses between them. Needs Triton."""
