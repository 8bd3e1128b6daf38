"""The compiled kernels are used where they fit, and a library that does not fit is refused by name."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from parfocal.engine.backends.native.library import LIBRARY, fault, load, sources_digest
from parfocal.engine.backends.native.structs import TWINS, layout_fault, layout_text

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


class _Swapped(ctypes.Structure):
    """`Slab` with two fields in the wrong order."""

    _fields_ = (("pairs", ctypes.c_void_p), ("numbers", ctypes.c_long), ("rank", ctypes.c_long))


class _Narrow(ctypes.Structure):
    """`Slab` with a field of half the width, which changes neither order nor size."""

    _fields_ = (("pairs", ctypes.c_void_p), ("rank", ctypes.c_int32), ("numbers", ctypes.c_int64))


class _Short(ctypes.Structure):
    """`Slab` without its last field."""

    _fields_ = (("pairs", ctypes.c_void_p), ("rank", ctypes.c_long))


def test_a_library_whose_structures_lie_otherwise_than_python_believes_is_refused() -> None:
    if fault(LIBRARY):
        pytest.skip("there are no compiled kernels here")
    for twin in (_Swapped, _Short):
        reason = fault(LIBRARY, {**TWINS, "Slab": twin})
        assert twin.__name__ in reason
        assert "lie differently in memory" in reason


def test_a_field_of_another_width_is_noticed_although_all_offsets_agree() -> None:
    slab = layout_text("Slab", TWINS["Slab"])
    assert ctypes.sizeof(_Narrow) == ctypes.sizeof(TWINS["Slab"])
    assert "_Narrow" in layout_fault(slab, {"Slab": _Narrow})


def test_a_structure_that_only_one_side_knows_is_noticed() -> None:
    slab, pair = (layout_text(name, TWINS[name]) for name in ("Slab", "Pair"))
    both = {name: TWINS[name] for name in ("Slab", "Pair")}
    assert layout_fault(f"{slab}\n{pair}\n", both) == ""
    assert "'nothing' in the library" in layout_fault(slab, both)
    assert layout_fault(f"{slab}\n{pair}\n", {"Slab": TWINS["Slab"]}) == "Python has no twin of Pair"


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
