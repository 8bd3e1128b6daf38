"""NVRTC, NVIDIA's compiler for CUDA C++ as a library, through ctypes.

torch for CUDA brings it as a wheel. What is needed of it has been the same since CUDA 11.1; NVIDIA's own
binding for Python changes faster than that, and is not there where torch is for CPUs.
"""

import ctypes
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import torch

log = logging.getLogger(__name__)

_LONGEST_LOG = 2000
_PROGRAM, _SIZE = ctypes.c_void_p, ctypes.c_size_t


class CompilerFailed(RuntimeError):
    """NVRTC does not compile a source, or fails otherwise."""


@dataclass(frozen=True, slots=True)
class Source:
    """A source and the headers that it includes by their names."""

    name: str
    text: bytes
    headers: Mapping[str, bytes]

    @classmethod
    def of(cls, path: Path) -> "Source":
        """The source in a file, with all headers (`*.cuh`) beside it."""
        headers = {header.name: header.read_bytes() for header in sorted(path.parent.glob("*.cuh"))}
        return cls(path.name, path.read_bytes(), headers)


class Compiler(Protocol):
    """Makes of sources what a card runs."""

    @property
    def name(self) -> str:
        """What tells it from others that may compile differently."""

    def compile(self, source: Source, options: Sequence[str]) -> bytes:
        """The cubin of a source. Raises CompilerFailed with the compiler's words."""


class Nvrtc:
    """NVRTC as a `Compiler`. Raises CompilerFailed if the library is not what it seems."""

    def __init__(self, path: str) -> None:
        # It asks for them by name alone, and some wheels do not tell it that they lie beside it.
        beside = Path(path).parent.glob("libnvrtc-builtins.so.*") if Path(path).is_absolute() else ()
        for builtins in beside:
            ctypes.CDLL(str(builtins))
        self._library = ctypes.CDLL(path)
        if not hasattr(self._library, "nvrtcGetCUBIN"):
            raise CompilerFailed(f"{path} has no nvrtcGetCUBIN; it takes NVRTC of CUDA 11.1 or later")
        self._library.nvrtcGetErrorString.restype = ctypes.c_char_p
        major, minor = ctypes.c_int(), ctypes.c_int()
        self._check(self._library.nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
        self.version = major.value, minor.value

    @property
    def name(self) -> str:
        """The library with its version."""
        return "nvrtc {}.{}".format(*self.version)

    def compile(self, source: Source, options: Sequence[str]) -> bytes:
        """The cubin of a source, and to the log what the compiler says of it."""
        program = _PROGRAM()
        names, texts = list(source.headers), list(source.headers.values())
        self._check(
            self._library.nvrtcCreateProgram(
                ctypes.byref(program),
                source.text,
                source.name.encode(),
                len(names),
                _strings(texts),
                _strings([name.encode() for name in names]),
            )
        )
        try:
            told = [option.encode() for option in options]
            failed = self._library.nvrtcCompileProgram(program, len(told), _strings(told))
            said = self._read(program, "nvrtcGetProgramLog").rstrip(b"\0").decode(errors="replace").strip()
            if failed:
                raise CompilerFailed(f"{self.name} does not compile {source.name}: {said[:_LONGEST_LOG]}")
            log.debug("%s on %s: %s", self.name, source.name, said)
            return self._read(program, "nvrtcGetCUBIN")
        finally:
            self._library.nvrtcDestroyProgram(ctypes.byref(program))

    def _read(self, program: ctypes.c_void_p, function: str) -> bytes:
        """What a function writes, after its twin has told how much that is."""
        size = _SIZE()
        self._check(getattr(self._library, f"{function}Size")(program, ctypes.byref(size)))
        room = ctypes.create_string_buffer(size.value)
        self._check(getattr(self._library, function)(program, room))
        return room.raw

    def _check(self, result: int) -> None:
        if result:
            raise CompilerFailed(f"nvrtc: {self._library.nvrtcGetErrorString(result).decode()}")


def find_nvrtc() -> Nvrtc:
    """The NVRTC that is here, of torch's CUDA if there is a choice. Raises OSError where there is none."""
    faults = []
    for path in _places():
        try:
            return Nvrtc(path)
        except (OSError, CompilerFailed) as error:
            faults.append(str(error))
    raise OSError(f"no NVRTC, which torch for CUDA brings as nvidia-cuda-nvrtc: {'; '.join(faults)}")


def _places() -> Iterator[str]:
    """Yields libraries of wheels, then what the system's loader may find."""
    ours = (torch.version.cuda or "").partition(".")[0]
    wheels = sorted(_wheels(), key=lambda path: (path.suffix != f".{ours}", path))
    yield from map(str, wheels)
    yield from dict.fromkeys([f"libnvrtc.so.{ours}" if ours else "libnvrtc.so", "libnvrtc.so"])


def _wheels() -> Iterator[Path]:
    spec = find_spec("nvidia")
    for folder in (spec and spec.submodule_search_locations) or ():
        yield from Path(folder).glob("*/lib/libnvrtc.so.*[0-9]")


def _strings(given: Sequence[bytes]) -> ctypes.Array[ctypes.c_char_p]:
    return (ctypes.c_char_p * len(given))(*given)
