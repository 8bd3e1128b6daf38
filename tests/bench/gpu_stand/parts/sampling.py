"""From logits to tokens, by rows and by what they ask for: our kernels beside torch's operations."""

import importlib
import os

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting


def measure(setting: Setting, notes: Notes) -> None:
    """Measures every kind of row; without a card, in Triton's interpreter."""
    if setting.is_dry:
        # Triton reads it when a kernel is made, so what makes kernels is imported after it.
        os.environ["TRITON_INTERPRET"] = "1"
    importlib.import_module("bench.gpu_stand.sampled_rows").measure_all(setting, notes)
