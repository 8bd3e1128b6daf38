"""What tests of the native kernels share: the compiled library."""

import pytest

from parfocal.engine.backends.native import Library
from parfocal.engine.backends.native.library import LIBRARY, fault, load


@pytest.fixture(scope="package")
def library() -> Library:
    """The compiled kernels; skips with the reason where they cannot run."""
    found = load()
    if found is None:
        pytest.skip(f"no native kernels: {fault(LIBRARY)}")
    return found
