"""Kernels in C++ for CPUs with AVX-512 VNNI: 4-bit linears, LoRA, paged attention, normalisation.

Compiled when the package is installed. Where that failed, or on any other processor, the engine computes the
same with torch.
"""

from parfocal.engine.backends.native.backend import NativeBackend
from parfocal.engine.backends.native.library import Library, load
from parfocal.engine.backends.native.linear import Numbers
from parfocal.engine.backends.native.rows import NativeLikeliest

__all__ = ["Library", "NativeBackend", "NativeLikeliest", "Numbers", "load"]
