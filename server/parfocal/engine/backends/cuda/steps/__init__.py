"""Decode steps as CUDA graphs, their inputs, and the memory that steps take."""

from parfocal.engine.backends.cuda.steps.decode import CudaDecode, Layers, ModuleLayers
from parfocal.engine.backends.cuda.steps.decode_inputs import input_bytes
from parfocal.engine.backends.cuda.steps.graphs import (
    Capturer,
    CudaCapturer,
    DecodeGraphs,
    GraphForward,
    GraphLimits,
)
from parfocal.engine.backends.cuda.steps.step_peak import CudaPeak, Measured, MeasuredWorkspace, Peak
from parfocal.engine.backends.cuda.steps.step_work import CudaStepWork

__all__ = [
    "Capturer",
    "CudaCapturer",
    "CudaDecode",
    "CudaPeak",
    "CudaStepWork",
    "DecodeGraphs",
    "GraphForward",
    "GraphLimits",
    "Layers",
    "Measured",
    "MeasuredWorkspace",
    "ModuleLayers",
    "Peak",
    "input_bytes",
]
