"""The adapters' part of linears on CUDA: pages, kernels, and linears grouped by input."""
