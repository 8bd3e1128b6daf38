"""Kernels run on the GPU where there is one, and elsewhere in Triton's interpreter, on the CPU's memory."""

import os
from importlib.util import find_spec

import pytest
import torch

# Read when a kernel is defined, so before any of them is imported.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

# Triton is published for Linux only.
collect_ignore_glob = [] if find_spec("triton") else ["test_*.py"]


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the kernels under test run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
