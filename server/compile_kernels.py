"""Compiles the engine's CPU kernels when the package is installed; without them the engine is slower.

Hatchling calls this for wheels and for editable installs. By hand: `python server/compile_kernels.py`.
"""

import os
import platform
import subprocess
import sys
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FOLDER = Path(__file__).resolve().parent / "parfocal" / "engine" / "backends" / "native"
LIBRARY = FOLDER / "_kernels.so"
# The processor is checked before any kernel runs, so the build machine's own features do not matter.
_SIMD = ["-mfma", *(f"-mavx512{part}" for part in ("f", "bw", "vl", "dq", "vnni"))]
_FLAGS = ["-O3", "-std=c++20", "-fPIC", "-pthread", *_SIMD]
# GCC 12 warns of its own _mm512_undefined_ps.
_QUIET = ["-Wno-uninitialized", "-Wno-maybe-uninitialized"]


class KernelsBuildHook(BuildHookInterface[Any]):
    """Adds the compiled kernels to what is installed, where this machine can compile them."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compiles, or prints one line that says why not."""
        del version
        reason = compile_kernels()
        if reason:
            self.app.display_warning(f"no native CPU kernels, so serving on CPU will be slow: {reason}")
            return
        build_data["artifacts"].append(str(LIBRARY.relative_to(FOLDER.parents[4])))
        if self.target_name == "wheel":
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{_platform_tag()}"


def sources() -> list[Path]:
    """The kernels' sources."""
    return sorted(path for path in FOLDER.iterdir() if path.suffix in (".cpp", ".h"))


def compile_kernels() -> str:
    """Compiles the kernels; returns the reason if that is impossible here, or an empty string."""
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        return f"they are written for Linux on x86-64, not {platform.system()} on {platform.machine()}"
    digest = sha256(b"".join(path.read_bytes() for path in sources())).hexdigest()
    compiler = os.environ.get("CXX", "g++")
    files = [str(path) for path in sources() if path.suffix == ".cpp"]
    flags = [*_FLAGS, *_QUIET, f'-DPARFOCAL_SOURCES="{digest}"']
    with tempfile.TemporaryDirectory(dir=FOLDER) as scratch:
        built = Path(scratch) / LIBRARY.name
        reason = _run([compiler, "-c", *flags, *files], scratch)
        if not reason:
            objects = [str(path) for path in sorted(Path(scratch).glob("*.o"))]
            reason = _run([compiler, "-shared", "-pthread", *objects, "-o", str(built)], scratch)
        if not reason:
            built.replace(LIBRARY)
    return reason


def _run(command: list[str], folder: str) -> str:
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"the compiler {command[0]!r} does not start ({error.strerror}); install g++, or set CXX"
    return f"{command[0]} failed: {done.stderr.strip()[:500]}" if done.returncode else ""


def _platform_tag() -> str:
    return f"linux_{platform.machine()}"


if __name__ == "__main__":
    sys.exit(compile_kernels() or 0)
