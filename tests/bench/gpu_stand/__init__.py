"""The stand of `tests/bench/gpu.py`: parts that each measure one thing in a process of their own."""
