"""Tells where the time of an engine's steps goes, part by part: the seam between a profile and the engine.

`HookedClock` wraps modules and methods for as long as a profile watches, and nothing is changed before or
after. Where one native call computes all decoder layers, `FusedClock` adds what that call counts itself.
"""

import contextlib
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

import torch
from torch import nn

from parfocal.engine import LiveRequest
from parfocal.engine.backends.native import decoder
from parfocal.engine.backends.native.decoder import NativeForward
from parfocal.engine.backends.native.layers import parts_of
from parfocal.engine.backends.native.profile import NativeProfile
from parfocal.engine.backends.native.step_work import NativeAttention, NativeLora, NativeStepWork
from parfocal.engine.loading.base import ResidentBase
from parfocal.engine.lora import AdaptedLinear, LoraBatch
from parfocal.engine.model.attention import AttentionStep
from parfocal.engine.model.step_work import TorchStepWork
from parfocal.engine.sampling import Sampler
from parfocal.engine.scheduling import Scheduler

BASE, LORA, ATTENTION, HEAD = "base linears", "LoRA", "attention", "head"
NORMS, ACTIVATION, ROTATION, ROWS = "norms", "activation", "rotation", "norms, rotation, activation"
SAMPLING, SCHEDULING, TEXT = "sampling", "scheduling", "text"
# Every part that some clock tells, in the order in which they are shown.
PARTS = (BASE, LORA, ATTENTION, HEAD, NORMS, ACTIVATION, ROTATION, ROWS, SAMPLING, SCHEDULING, TEXT)

_ROW_WISE = (NORMS, ACTIVATION, ROTATION)
# What the native call's own clock calls the parts.
_PHASES = {"linears": BASE, "adapters": LORA, "attention": ATTENTION, "rows": ROWS}

# Functions of the engine that do one thing each. Scheduling includes laying a plan out for the kernels.
_FUNCTIONS: tuple[tuple[Any, str, str], ...] = (
    (NativeLora, "add_to", LORA),
    (LoraBatch, "add_to", LORA),
    (NativeAttention, "attend", ATTENTION),
    (AttentionStep, "attend", ATTENTION),
    (Sampler, "sample", SAMPLING),
    (Scheduler, "schedule", SCHEDULING),
    (Scheduler, "commit", SCHEDULING),
    (NativeStepWork, "lora", SCHEDULING),
    (NativeStepWork, "attention", SCHEDULING),
    (NativeForward, "_add_adapters", SCHEDULING),
    (decoder, "contexts_of", SCHEDULING),
    (TorchStepWork, "lora", SCHEDULING),
    (TorchStepWork, "attention", SCHEDULING),
    (LiveRequest, "push", TEXT),
)


class StepClock(Protocol):
    """Adds up the seconds that each part of the engine's steps takes; no second counts for two parts."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Returns the parts that this clock tells apart, of `PARTS` and in their order."""

    def watching(self) -> AbstractContextManager[None]:
        """Measures while the scope lasts; outside of it the engine pays nothing."""

    def take(self) -> Mapping[str, float]:
        """Returns the seconds by part since the last call, and begins anew."""


def clock_for(base: ResidentBase) -> StepClock:
    """Returns the clock that sees the most of this base's steps."""
    hooked = HookedClock(base)
    if base.native is None or parts_of(base.model) is None:
        return hooked
    return FusedClock(hooked, NativeProfile(base.native))


class Stopwatch:
    """Times parts that may lie within each other: while an inner one runs, the outer one's clock stands."""

    def __init__(self, settle: Callable[[], None], now: Callable[[], float] = time.perf_counter) -> None:
        self._settle, self._now = settle, now
        self._seconds: dict[str, float] = defaultdict(float)
        self._within: list[str] = []
        self._since = 0.0

    def begin(self, part: str) -> None:
        """Starts a part."""
        self._turn()
        self._within.append(part)

    def end(self) -> None:
        """Ends the part that was started last."""
        self._turn()
        self._within.pop()

    def take(self) -> dict[str, float]:
        """Returns the seconds by part since the last call."""
        taken, self._seconds = dict(self._seconds), defaultdict(float)
        return taken

    def _turn(self) -> None:
        # An accelerator works on after the call has returned.
        self._settle()
        now = self._now()
        if self._within:
            self._seconds[self._within[-1]] += now - self._since
        self._since = now


class HookedClock:
    """A clock of module hooks and wrapped methods, on any device and with any kernels."""

    def __init__(self, base: ResidentBase) -> None:
        self._model: Any = base.model
        is_cuda = base.device.type == "cuda"
        self._watch = Stopwatch(torch.cuda.synchronize if is_cuda else lambda: None)

    @property
    def parts(self) -> tuple[str, ...]:
        """Returns every part but the one that only a native call joins."""
        return tuple(part for part in PARTS if part != ROWS)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Measures while the scope lasts."""
        with ExitStack() as stack:
            for owner, name, part in _FUNCTIONS:
                stack.enter_context(self._wrapped(owner, name, part))
            for module, part in _modules(self._model):
                stack.callback(module.register_forward_pre_hook(self._before(part)).remove)
                stack.callback(module.register_forward_hook(self._after).remove)
            yield

    def take(self) -> Mapping[str, float]:
        """Returns the seconds by part since the last call."""
        return self._watch.take()

    def _before(self, part: str) -> Callable[..., None]:
        def begin(*_: object) -> None:
            self._watch.begin(part)

        return begin

    def _after(self, *_: object) -> None:
        self._watch.end()

    @contextlib.contextmanager
    def _wrapped(self, owner: Any, name: str, part: str) -> Iterator[None]:
        method = getattr(owner, name)

        def timed(*values: object, **named: object) -> object:
            self._watch.begin(part)
            try:
                return method(*values, **named)
            finally:
                self._watch.end()

        setattr(owner, name, timed)
        try:
            yield
        finally:
            setattr(owner, name, method)


class FusedClock:
    """A clock for steps whose decoder layers are one native call: what the hooks see around it, and its own.

    That call joins norms, rotations and activations with rounding, so here they are one part.
    """

    def __init__(self, around: StepClock, within: NativeProfile) -> None:
        self._around, self._within = around, within

    @property
    def parts(self) -> tuple[str, ...]:
        """Returns the parts, those of single rows as one."""
        return tuple(part for part in PARTS if part not in _ROW_WISE)

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Measures while the scope lasts."""
        with self._around.watching(), self._within.taken():
            yield

    def take(self) -> Mapping[str, float]:
        """Returns the seconds by part since the last call."""
        seconds: dict[str, float] = defaultdict(float)
        for part, more in self._around.take().items():
            seconds[ROWS if part in _ROW_WISE else part] += more
        for phase, more in self._within.seconds().items():
            seconds[_PHASES[phase]] += more
        return dict(seconds)


def _modules(model: Any) -> Iterator[tuple[nn.Module, str]]:
    """Yields the modules of which one part is made. What a module's own modules take is theirs."""
    yield model.lm_head, HEAD
    for path, module in model.named_modules():
        name = path.rpartition(".")[2]
        if isinstance(module, AdaptedLinear):
            yield module.base, BASE
        elif type(module).__name__.endswith("Norm"):
            yield module, NORMS
        elif name == "mlp":
            yield module, ACTIVATION
        elif name in ("self_attn", "rotary_emb"):
            yield module, ROTATION
