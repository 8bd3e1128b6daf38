"""The compiled kernels are used where they fit, and a library that does not fit is refused by name."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parfocal.engine.backends.native.library import LIBRARY, fault, load, sources_digest

ROOT = Path(__file__).resolve().parents[3]


def test_a_missing_library_is_named_with_what_it_takes(tmp_path: Path) -> None:
    assert "g++" in fault(tmp_path / "_kernels.so")


def test_a_damaged_library_is_refused(tmp_path: Path) -> None:
    damaged = tmp_path / "_kernels.so"
    damaged.write_bytes(b"\x7fELF nonsense")
    assert "does not load" in fault(damaged)


def test_a_library_of_other_sources_is_refused(tmp_path: Path) -> None:
    if not LIBRARY.is_file():
        pytest.skip("there are no compiled kernels here")
    stale = tmp_path / "_kernels.so"
    digest = LIBRARY.read_bytes()
    at = digest.index(_embedded_digest())
    stale.write_bytes(digest[:at] + b"0" * 64 + digest[at + 64 :])
    assert "other sources" in fault(stale)


def test_where_the_compiler_and_the_processor_allow_it_the_kernels_are_there() -> None:
    flags = Path("/proc/cpuinfo")
    if not shutil.which("g++") or not flags.is_file() or "avx512_vnni" not in flags.read_text():
        pytest.skip("this machine cannot compile or run the kernels")
    assert load() is not None


def test_a_compiler_that_does_not_start_is_named() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "server" / "compile_kernels.py")],
        env={"CXX": "/no/such/compiler", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "/no/such/compiler" in done.stderr


def _embedded_digest() -> bytes:
    return sources_digest().encode()
