"""The wheel, built once."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Builds the wheel offline; without a compiler, as the kernels are tested elsewhere and take a minute."""
    folder = tmp_path_factory.mktemp("wheel")
    flags = ["--no-deps", "--no-build-isolation", "--no-index"]
    command = [sys.executable, "-m", "pip", "wheel", str(ROOT), *flags]
    environment = {**os.environ, "CXX": "no-compiler", "PIP_NO_INPUT": "1"}
    done = subprocess.run(
        [*command, "--wheel-dir", str(folder)], capture_output=True, text=True, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("parfocal-*.whl")
    return built
