"""CUDA C++ compiled at start for the card that is there, kept on disk, launched beside torch's kernels."""

from parfocal.engine.backends.cuda.nvrtc.builder import Builder
from parfocal.engine.backends.cuda.nvrtc.compiler import Compiler, CompilerFailed, Nvrtc, Source, find_nvrtc
from parfocal.engine.backends.cuda.nvrtc.cubins import Cubins, cubins_home
from parfocal.engine.backends.cuda.nvrtc.driver import Driver, DriverFailed, Grid, Kernel, find_driver
from parfocal.engine.backends.cuda.nvrtc.target import Target, target_of

__all__ = [
    "Builder",
    "Compiler",
    "CompilerFailed",
    "Cubins",
    "Driver",
    "DriverFailed",
    "Grid",
    "Kernel",
    "Nvrtc",
    "Source",
    "Target",
    "cubins_home",
    "find_driver",
    "find_nvrtc",
    "target_of",
]
