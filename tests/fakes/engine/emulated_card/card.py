"""A CUDA card that is this CPU: our CUDA C++ compiled by g++, with its warps and their copies emulated."""

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from parfocal.engine.backends.cuda.four_bit.compiled import CompiledProduct
from parfocal.engine.backends.cuda.nvrtc import Builder, Cubins, Driver, Source, Target

FOLDER = Path(__file__).resolve().parent
KIB = 1 << 10

HOPPER = Target((9, 0), 228 * KIB)
AMPERE = Target((8, 0), 164 * KIB)
ADA = Target((8, 9), 100 * KIB)


class EmulatedCard:
    """A card with its compiler, `name` and `compile`, and its driver.

    What it compiles last is what its driver runs, in memory that begins as NaNs.
    """

    name = "g++"

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @property
    def library(self) -> ctypes.CDLL:
        """The driver's functions, and those by which tests look behind it."""
        found = ctypes.CDLL(str(self._path))
        found.card_load_conflicts.restype = found.card_store_conflicts.restype = ctypes.c_long
        return found

    def compile(self, source: Source, options: Sequence[str]) -> bytes:
        """Compiles a source with the emulated warp in place of the real one."""
        sources = self._folder / "sources"
        sources.mkdir(exist_ok=True)
        for name, text in [*source.headers.items(), (source.name, source.text)]:
            if name != "warp.cuh":
                (sources / name).write_bytes(text)
        defined = [option for option in options if option.startswith("-D")]
        command = [os.environ.get("CXX", "g++"), "-std=c++17", "-O1", "-shared", "-fPIC", *defined]
        warned = ["-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"]
        places = ["-I", str(FOLDER), "-I", str(sources), str(FOLDER / "card.cpp"), "-o", str(self._path)]
        subprocess.run([*command, *warned, *places], check=True)
        return b"emulated"

    def driver(self) -> Driver:
        """The driver."""
        return Driver(str(self._path))

    def product(self, target: Target = HOPPER) -> CompiledProduct:
        """A product on this card, with nothing compiled ahead."""
        return CompiledProduct(self.builder(), lambda device: target)

    def builder(self) -> Builder:
        """What builds kernels for this card, and keeps them in its folder."""
        return Builder(Cubins(self._folder / "cubins"), lambda: self, self.driver)

    def behave(self, *, copies_late: bool, runs_backward: bool) -> None:
        """Sets when copies beside a program are made, and in what order its threads run."""
        self.library.card_behave(int(copies_late), int(runs_backward))

    @property
    def _path(self) -> Path:
        return self._folder / "card.so"
