"""Where the time of a base's steps goes: the protocol of a backend's profile, and one by hooks on any model.

While nobody watches, there are no hooks and nothing here runs.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any, Protocol

import torch
from torch import nn

from parfocal.engine.lora import LoraWork
from parfocal.engine.model.attention import AttentionWork, NewTokens, Scoring
from parfocal.engine.stopwatch import (
    ACTIVATION,
    ATTENTION,
    BASE,
    GRAPH,
    HEAD,
    LORA,
    NORMS,
    PARTS,
    ROTATION,
    ROWS,
    Stopwatch,
)

_PARTS = tuple(part for part in PARTS if part not in (ROWS, GRAPH))


class StepProfile(Protocol):
    """Adds up the seconds of each part of the engine's steps; no second counts twice."""

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that this profile tells apart, of `PARTS` and in their order."""

    def watching(self) -> AbstractContextManager[None]:
        """Times steps while the scope lasts; outside it the engine pays nothing."""

    def take(self) -> Mapping[str, float]:
        """The seconds by part since the last call, and begins anew."""


class ModuleProfile:
    """Hooks on the model's modules, which share the stopwatch of the engine's parts.

    `linears` finds the base's own linears in the model, without their LoRA wrappers.
    """

    def __init__(
        self,
        model: nn.Module,
        linears: Callable[[nn.Module], Iterable[nn.Module]],
        watch: Stopwatch,
        parts: tuple[str, ...] = _PARTS,
    ) -> None:
        self.parts = parts
        self._model = model
        self._linears = linears
        self._watch = watch

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Times steps while the scope lasts."""
        with self._watch.watching(), ExitStack() as stack:
            for module, part in self._modules():
                stack.callback(module.register_forward_pre_hook(self._before(part)).remove)
                stack.callback(module.register_forward_hook(self._after).remove)
            yield

    def take(self) -> Mapping[str, float]:
        """The seconds by part since the last call."""
        return self._watch.take()

    def _modules(self) -> Iterator[tuple[nn.Module, str]]:
        """Yields the modules that make up one part. A submodule's time counts for the submodule."""
        yield from ((linear, BASE) for linear in self._linears(self._model))
        model: Any = self._model
        yield model.lm_head, HEAD
        for path, module in self._model.named_modules():
            name = path.rpartition(".")[2]
            if type(module).__name__.endswith("Norm"):
                yield module, NORMS
            elif name == "mlp":
                yield module, ACTIVATION
            elif name in ("self_attn", "rotary_emb"):
                yield module, ROTATION

    def _before(self, part: str) -> Callable[..., None]:
        def begin(*_: object) -> None:
            self._watch.begin(part)

        return begin

    def _after(self, *_: object) -> None:
        self._watch.end()


def watched_lora(work: LoraWork | None, watch: Stopwatch) -> LoraWork | None:
    """A step's LoRA work, timed while someone watches."""
    return _WatchedLora(work, watch) if watch.is_on and work is not None else work


def watched_attention(work: AttentionWork, watch: Stopwatch) -> AttentionWork:
    """A step's attention, timed while someone watches."""
    return _WatchedAttention(work, watch) if watch.is_on else work


class _WatchedLora(LoraWork):
    """Times a step's LoRA work."""

    def __init__(self, work: LoraWork, watch: Stopwatch) -> None:
        self._work = work
        self._watch = watch

    def add_to(self, y: torch.Tensor, x: torch.Tensor, path: str) -> None:
        """Adds the adapters' part to `y`."""
        with self._watch.part(LORA):
            self._work.add_to(y, x, path)

    def add_to_group(self, ys: Sequence[torch.Tensor], x: torch.Tensor, paths: Sequence[str]) -> None:
        """Adds the adapters' part to each of `ys`."""
        with self._watch.part(LORA):
            self._work.add_to_group(ys, x, paths)


class _WatchedAttention:
    """Times a step's attention."""

    def __init__(self, work: AttentionWork, watch: Stopwatch) -> None:
        self._work = work
        self._watch = watch

    def attend(self, layer: int, new: NewTokens, scoring: Scoring) -> torch.Tensor:
        """Stores the new keys and values; returns each token's answer."""
        with self._watch.part(ATTENTION):
            return self._work.attend(layer, new, scoring)
