"""Attention over the paged cache on CUDA, and the choice between ways to compute it."""
