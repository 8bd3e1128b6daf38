"""Quick imports leave everything as usual imports do, except for what nobody has called yet."""

import gc
import importlib
import os
import subprocess
import sys

import pytest

from parfocal.engine import quick_imports

_ASK = """
import sys
import torch
from parfocal.engine import quick_imports
usual = torch.compile
with quick_imports():
    from bitsandbytes.backends.default.ops import _dequantize_blockwise_compute as fall_back
print(torch.compile is usual, "torch._inductor.compile_fx" in sys.modules)
codes, scales, levels = torch.tensor([0, 1], dtype=torch.uint8), torch.tensor([3.0]), torch.tensor([1.0, 5.0])
print(fall_back(codes, scales, levels, 64, torch.float32).tolist(), "torch._dynamo" in sys.modules)
"""


def test_the_compiler_of_torch_is_loaded_when_bitsandbytes_falls_back_and_not_before() -> None:
    # The compiler's presence matters here, not its work, which takes long.
    ours = {**os.environ, "TORCHDYNAMO_DISABLE": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", _ASK], env=ours, capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stdout.splitlines() == ["True False", "[3.0, 15.0] True"]


def test_a_program_ends_without_complaints_of_what_was_left_out_of_collections() -> None:
    program = "from parfocal.engine import quick_imports\nwith quick_imports(): import triton"
    ours = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", program], env=ours, capture_output=True, text=True, timeout=120, check=True
    )

    assert done.stderr == ""


def test_imports_that_fail_leave_nothing_behind() -> None:
    before = list(sys.meta_path)
    with pytest.raises(ModuleNotFoundError), quick_imports():
        importlib.import_module("parfocal.nothing")

    assert sys.meta_path == before
    assert gc.isenabled()


def test_a_collector_that_rested_rests_on() -> None:
    gc.disable()
    try:
        with quick_imports():
            assert not gc.isenabled()
        assert not gc.isenabled()
    finally:
        gc.enable()
