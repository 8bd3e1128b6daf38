"""Launches and time of a layer in a decode step: fused, and module by module as transformers has it."""

import importlib
import os

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting


def measure(setting: Setting, notes: Notes) -> None:
    """Counts and times steps of a few layers; without a card, in Triton's interpreter."""
    if setting.is_dry:
        # Triton reads it when a kernel is made, so what makes kernels is imported after it.
        os.environ["TRITON_INTERPRET"] = "1"
    importlib.import_module("bench.gpu_stand.layer_launches").measure_all(setting, notes)
