"""4-bit products by shape and rows: ours, bitsandbytes' and 16-bit cuBLAS', beside what the bytes allow."""

import importlib
import os

from bench.gpu_stand.notes import Notes
from bench.gpu_stand.setting import Setting


def measure(setting: Setting, notes: Notes) -> None:
    """Measures every product of the shape; without a card, in Triton's interpreter."""
    if setting.is_dry:
        # Triton reads it when a kernel is made, so what makes kernels is imported after it.
        os.environ["TRITON_INTERPRET"] = "1"
    importlib.import_module("bench.gpu_stand.four_bit_products").measure_all(setting, notes)
