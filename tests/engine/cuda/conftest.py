"""Kernels run on the GPU where there is one, and elsewhere in Triton's interpreter, on the CPU's memory."""

from importlib.util import find_spec

import pytest
import torch

# Triton is published for Linux only.
collect_ignore_glob = [] if find_spec("triton") else ["test_*.py"]


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the kernels under test run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
