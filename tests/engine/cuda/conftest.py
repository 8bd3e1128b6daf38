"""Kernels run on the GPU where there is one, and elsewhere in Triton's interpreter, on the CPU's memory."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest
import torch

# Triton is published for Linux only.
collect_ignore_glob = [] if find_spec("triton") else ["test_*.py", "*/test_*.py"]


@pytest.fixture(scope="session")
def device() -> torch.device:
    """Where the kernels under test run."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture(scope="session", autouse=True)
def readied_interpreter() -> Iterator[None]:
    """Readies Triton's language once; see `fakes.engine.readied_interpreter`."""
    if os.environ.get("TRITON_INTERPRET") != "1":
        yield
        return
    from fakes.engine.readied_interpreter import readied

    with readied():
        yield
