"""Decode steps on CUDA as graphs, their inputs, and the memory that steps take."""
