"""The part of CUDA's driver that loads compiled kernels and launches them, through ctypes.

A launch goes onto the stream it is given, so CUDA graphs capture it. torch has made the device's context
current wherever it has allocated memory.
"""

import ctypes
from dataclasses import dataclass
from functools import cache

# As cuda.h has them.
_MOST_SHARED_BYTES = 8
_SHARED_PERCENT = 9
_PROGRAMMATIC_STREAM_SERIALIZATION = 6


class DriverFailed(RuntimeError):
    """The driver refuses a kernel or its launch."""


@dataclass(frozen=True, slots=True)
class Grid:
    """How many programs a launch has along each axis."""

    x: int
    y: int = 1
    z: int = 1


class _Attribute(ctypes.Structure):
    """CUlaunchAttribute: 8 bytes of which 4 say which one, and 64 for its value."""

    _fields_ = [
        ("id", ctypes.c_int),
        ("padding", ctypes.c_char * 4),
        ("value", ctypes.c_int),
        ("rest", ctypes.c_char * 60),
    ]


class _Launch(ctypes.Structure):
    """CUlaunchConfig."""

    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("shared_bytes", ctypes.c_uint),
        ("stream", ctypes.c_void_p),
        ("attributes", ctypes.POINTER(_Attribute)),
        ("count", ctypes.c_uint),
    ]


_EARLY = _Attribute(id=_PROGRAMMATIC_STREAM_SERIALIZATION, value=1)


_FUNCTIONS = (
    "cuInit",
    "cuModuleLoadData",
    "cuModuleGetFunction",
    "cuFuncSetAttribute",
    "cuLaunchKernelEx",
    "cuGetErrorString",
)


class Driver:
    """A driver library. Raises OSError if it does not load, DriverFailed if it lacks what is needed."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        absent = [name for name in _FUNCTIONS if not hasattr(self._library, name)]
        if absent:
            raise DriverFailed(f"{path} has no {', '.join(absent)}; it takes a driver of CUDA 11.8 or later")
        self.check(self._library.cuInit(0))

    def load(self, cubin: bytes) -> "Module":
        """Loads a cubin into the current context, for as long as that lives."""
        module = ctypes.c_void_p()
        self.check(self._library.cuModuleLoadData(ctypes.byref(module), cubin))
        return Module(self, self._library, module)

    def check(self, result: int) -> None:
        """Raises DriverFailed, in the driver's words, unless the result is success."""
        if result:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(result, ctypes.byref(text))
            raise DriverFailed(f"CUDA driver: {(text.value or b'unknown error').decode()} ({result})")


class Module:
    """Loaded kernels."""

    def __init__(self, driver: Driver, library: ctypes.CDLL, module: ctypes.c_void_p) -> None:
        self._driver, self._library, self._module = driver, library, module

    def kernel(self, name: str, threads: int, shared_bytes: int) -> "Kernel":
        """A kernel of so many threads and bytes of dynamic shared memory."""
        function = ctypes.c_void_p()
        self._driver.check(
            self._library.cuModuleGetFunction(ctypes.byref(function), self._module, name.encode())
        )
        self._driver.check(self._library.cuFuncSetAttribute(function, _MOST_SHARED_BYTES, shared_bytes))
        # All that a multiprocessor has, rather than cache, so that it holds as many programs as fit.
        self._driver.check(self._library.cuFuncSetAttribute(function, _SHARED_PERCENT, 100))
        return Kernel(self._driver, self._library.cuLaunchKernelEx, function, (threads, shared_bytes))


class Kernel:
    """A kernel whose only argument is a structure."""

    def __init__(
        self, driver: Driver, launch: object, function: ctypes.c_void_p, sizes: tuple[int, int]
    ) -> None:
        self._driver, self._launch, self._function = driver, launch, function
        self._threads, self._shared_bytes = sizes

    def launch(self, grid: Grid, given: ctypes.Structure, stream: int, *, early: bool) -> None:
        """Queues the kernel on a stream; `early`, it may begin before the kernel ahead of it has ended.

        Such a kernel waits by itself before it reads what others write. The structure is copied.
        """
        launch = _Launch(shared_bytes=self._shared_bytes, stream=stream or None)
        launch.grid[:] = (grid.x, grid.y, grid.z)
        launch.block[:] = (self._threads, 1, 1)
        if early:
            launch.attributes, launch.count = ctypes.pointer(_EARLY), 1
        arguments = (ctypes.c_void_p * 1)(ctypes.addressof(given))
        asked = ctypes.byref(launch), self._function, arguments, None
        self._driver.check(self._launch(*asked))  # type: ignore[operator]  # a function of the library


@cache
def find_driver() -> Driver:
    """The driver of this machine's cards. Raises OSError where there is none."""
    return Driver("libcuda.so.1")
