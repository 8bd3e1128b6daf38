"""Libraries that are absent, or are not what they should be, are refused by name."""

from pathlib import Path

import pytest
import torch

from parfocal.engine.backends.cuda.nvrtc import CompilerFailed, Driver, DriverFailed, Nvrtc, find_driver

# A library that loads, and has nothing of what is sought.
OTHER = "libm.so.6"


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a driver here")
def test_a_machine_without_a_driver_says_so() -> None:
    with pytest.raises((OSError, DriverFailed), match=r"libcuda|CUDA driver"):
        find_driver()


def test_what_does_not_load_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none.so").write_bytes(b"not a library")
    for kind in (Driver, Nvrtc):
        with pytest.raises(OSError, match=r"none\.so"):
            kind(str(tmp_path / "none.so"))


def test_a_library_that_lacks_a_function_is_refused() -> None:
    with pytest.raises(
        DriverFailed, match=r"libm\.so\.6 has no cuInit, .*cuLaunchKernelEx.*CUDA 11\.8 or later"
    ):
        Driver(OTHER)
    with pytest.raises(CompilerFailed, match=r"libm\.so\.6 has no nvrtcGetCUBIN.*CUDA 11\.1 or later"):
        Nvrtc(OTHER)
