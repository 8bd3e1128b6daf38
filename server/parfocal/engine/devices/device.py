"""A device, whatever computes on it: its memory, its clock, and whether the caller waits for it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import torch

from parfocal.engine.devices.marks import EventMarks
from parfocal.engine.stopwatch import CpuMarks, Marks

# A GPU belongs to the server; a machine's memory does not: the system, Python and its libraries, and adapters
# being loaded live there too.
_GPU_SHARE = 0.9
_MACHINE_SHARE = 0.5
# Where Linux shows a container's memory limit: cgroups version 2, then 1.
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))


class Device(Protocol):
    """Where a base is held and computed."""

    @property
    def at(self) -> torch.device:
        """torch's name for the device."""

    @property
    def share(self) -> float:
        """The share of its memory that an engine takes by default."""

    @property
    def overlaps(self) -> bool:
        """Whether it computes beside the calling thread, from memory that is not the machine's."""

    def total_bytes(self) -> int:
        """All of its memory."""

    def reachable_bytes(self) -> int:
        """The memory that this process already holds or that no process has taken."""

    def is_lost(self, error: BaseException) -> bool:
        """Whether this process can compute nothing on it any more, `error` being what it raised."""

    def release(self) -> None:
        """Gives memory that no tensor uses back to it."""

    def enter(self) -> None:
        """Makes it the calling thread's current device, on which kernels are launched."""

    def finish(self) -> None:
        """Waits until it has computed all that the calling thread has queued; raises what failed there."""

    def marks(self) -> Marks:
        """Its clock."""


class Machine:
    """The machine's own processors; the calling thread computes."""

    share = _MACHINE_SHARE
    overlaps = False

    def __init__(self, at: torch.device | None = None) -> None:
        self.at = at or torch.device("cpu")
        self._module = torch.get_device_module(self.at)

    def total_bytes(self) -> int:
        """The machine's memory; in a container, as much as the container may use."""
        return machine_bytes()

    def reachable_bytes(self) -> int:
        """The same: the system may swap out what others hold."""
        return machine_bytes()

    def is_lost(self, error: BaseException) -> bool:
        """False: a process outlives no failure of the machine that it runs on."""
        del error
        return False

    def release(self) -> None:
        """Does nothing: the system gets back what is freed."""

    def enter(self) -> None:
        """Does nothing: every thread computes here."""

    def finish(self) -> None:
        """Waits for Metal, which computes beside the calling thread as a GPU does; a CPU has finished."""
        self._module.synchronize()

    def marks(self) -> Marks:
        """The calling thread's clock."""
        return CpuMarks()


class Cuda(Protocol):
    """What CUDA says of a device and its memory; `torch.cuda` is one."""

    def mem_get_info(self, device: torch.device) -> tuple[int, int]:
        """The free bytes and the total bytes."""

    def memory_reserved(self, device: torch.device) -> int:
        """The bytes that torch has taken for this process, used or not."""

    def empty_cache(self) -> None:
        """Gives back what torch has taken and does not use."""

    def synchronize(self, device: torch.device) -> None:
        """Waits for all queued work; raises RuntimeError if some of it failed, or if the device is lost."""


class Gpu:
    """A CUDA device, with memory of its own."""

    share = _GPU_SHARE
    overlaps = True

    def __init__(self, at: torch.device, cuda: Cuda = torch.cuda) -> None:
        self.at = at
        self._cuda = cuda

    def total_bytes(self) -> int:
        """All of its memory."""
        return int(self._cuda.mem_get_info(self.at)[1])

    def reachable_bytes(self) -> int:
        """The memory that torch already holds here or that nobody has taken."""
        return int(self._cuda.mem_get_info(self.at)[0]) + self._cuda.memory_reserved(self.at)

    def is_lost(self, error: BaseException) -> bool:
        """Whether `error` is one of a device, and the device answers to nothing since.

        After an illegal memory access, a device-side assertion, an uncorrectable memory error and their like
        every later call fails; the CUDA Runtime API asks for a new process then.
        """
        return isinstance(error, RuntimeError) and not self._answers()

    def release(self) -> None:
        """Gives memory that no tensor uses back to the device."""
        self._cuda.empty_cache()

    def enter(self) -> None:
        """Makes it the calling thread's current device."""
        torch.cuda.set_device(self.at)

    def finish(self) -> None:
        """Waits until the current stream is done; other streams may go on."""
        # The thread sleeps: one that spins keeps a CPU from the loading threads.
        done = torch.cuda.Event(blocking=True)
        done.record()
        done.synchronize()

    def marks(self) -> Marks:
        """The device's own clock."""
        return EventMarks()

    def _answers(self) -> bool:
        """Whether a call succeeds. The first may report what is over; what is left then is there to stay."""
        for _ in range(2):
            with contextlib.suppress(RuntimeError):
                self._cuda.synchronize(self.at)
                return True
        return False


def device_at(at: torch.device) -> Device:
    """The device that torch names so."""
    return Gpu(at) if at.type == "cuda" else Machine(at)


def machine_bytes() -> int:
    """The machine's memory; in a container, as much as the container may use."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([physical, *_container_limits()])


def _container_limits() -> Iterator[int]:
    for path in _LIMITS:
        text = path.read_text().strip() if path.is_file() else ""
        if text.isdecimal():
            yield int(text)
