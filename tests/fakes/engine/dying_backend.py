"""A real backend whose device dies when a test says so: every step fails from then on."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import torch

from parfocal.engine import EngineConfig, Observer
from parfocal.engine.devices import Device
from parfocal.engine.model import Backend, Computing, Forward, ResidentBase, StepMemory
from parfocal.engine.scheduling import LaidRow

ILLEGAL = "CUDA error: an illegal memory access was encountered"


class DyingBackend:
    """Another backend until `is_dead` answers True; with `tells` it then says that its device is lost."""

    def __init__(self, backend: Backend, is_dead: Callable[[], bool], *, tells: bool) -> None:
        self.is_dead = is_dead
        self.device = _Device(backend.device, lambda: tells and is_dead())
        self._backend = backend

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def computing(
        self, base: ResidentBase, config: EngineConfig, memory: StepMemory, observer: Observer
    ) -> Computing:
        """Returns the other backend's, with a forward pass that fails once the device is dead."""
        computing = self._backend.computing(base, config, memory, observer)
        return replace(computing, forward=_Forward(computing.forward, self.is_dead))


def on_dying_device(base: ResidentBase, is_dead: Callable[[], bool], *, tells: bool = True) -> ResidentBase:
    """Returns the base on a device that dies when `is_dead` says so."""
    return replace(base, backend=cast(Backend, DyingBackend(base.backend, is_dead, tells=tells)))


class _Device:
    def __init__(self, device: Device, is_lost: Callable[[], bool]) -> None:
        self._device = device
        self._is_lost = is_lost

    def __getattr__(self, name: str) -> Any:
        return getattr(self._device, name)

    def is_lost(self, error: BaseException) -> bool:
        """Answers for the backend."""
        return self._is_lost()


class _Forward:
    def __init__(self, forward: Forward, is_dead: Callable[[], bool]) -> None:
        self._forward = forward
        self._is_dead = is_dead

    def logits(self, laid: list[LaidRow], last: list[int]) -> torch.Tensor:
        """Returns the other's, or raises what CUDA raises."""
        self._check()
        return self._forward.logits(laid, last)

    def states(self, laid: list[LaidRow], places: list[int]) -> torch.Tensor:
        """Returns the other's, or raises what CUDA raises."""
        self._check()
        return self._forward.states(laid, places)

    def head(self, states: torch.Tensor) -> torch.Tensor:
        """Returns the other's, or raises what CUDA raises."""
        self._check()
        return self._forward.head(states)

    def _check(self) -> None:
        if self._is_dead():
            raise torch.AcceleratorError(ILLEGAL)
