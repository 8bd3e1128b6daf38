"""Compiles what callers ask answers to look like, off the event loop and the engine's thread, once each."""

import asyncio
import threading
from collections import OrderedDict
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

from parfocal.engine.constraints.constraint import Constraint
from parfocal.engine.constraints.specs import ConstraintSpec
from parfocal.engine.errors import QueueFull

_RETRY_AFTER_S = 1.0


class Builder(Protocol):
    """Compiles one spec after the other, on the compiler's threads."""

    def prepare(self) -> None:
        """Loads what compiling needs. Raises ConstraintsUnavailable."""

    def build(self, spec: ConstraintSpec) -> Constraint:
        """Compiles a spec. Ends by itself; raises an EngineError for what it refuses."""

    def close(self) -> None:
        """Ends what it has started. No build may follow."""


@dataclass(frozen=True, slots=True)
class CompilerLimits:
    """How many compiled constraints are kept for later requests, how many may wait, and on how many threads.

    `kept_characters` bounds the specs of those kept: a long one takes more memory than a short one.
    """

    kept: int = 256
    kept_characters: int = 2 << 20
    waiting: int = 128
    threads: int = 1


class ConstraintCompiler:
    """Compiled constraints for one base. Equal specs share one, also while it is being compiled."""

    def __init__(self, builder: Builder, limits: CompilerLimits | None = None) -> None:
        self._builder = builder
        self._limits = limits or CompilerLimits()
        self._threads = ThreadPoolExecutor(self._limits.threads, "parfocal-constraints")
        self._lock = threading.Lock()
        self._kept: OrderedDict[ConstraintSpec, Constraint] = OrderedDict()
        self._kept_characters = 0
        self._running: dict[ConstraintSpec, Future[Constraint]] = {}

    def prepare(self) -> None:
        """Loads what the first constraint would wait for. Blocks; call it before anything is served.

        Raises:
            ConstraintsUnavailable: no answer can be held to a constraint here.
        """
        self._builder.prepare()

    async def compile(self, spec: ConstraintSpec) -> Constraint:
        """What `Request.constraint` takes.

        Raises:
            ConstraintRefused: the spec is wrong, not supported, or too large.
            ConstraintsUnavailable: no answer can be held to a constraint here.
            QueueFull: too many others wait.
        """
        found = self._find(spec)
        if isinstance(found, Future):
            # Others may wait for it, too: one who leaves must not cancel it.
            return await asyncio.shield(asyncio.wrap_future(found))
        return found

    def close(self) -> None:
        """Lets what is being compiled end, and starts nothing more."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        self._builder.close()

    def _find(self, spec: ConstraintSpec) -> Constraint | Future[Constraint]:
        with self._lock:
            kept = self._kept.get(spec)
            if kept is not None and not kept.is_spent:
                self._kept.move_to_end(spec)
                return kept
            if (running := self._running.get(spec)) is not None:
                return running
            if len(self._running) >= self._limits.waiting:
                raise QueueFull(
                    f"{len(self._running)} constraints wait to be compiled and the limit is "
                    f"{self._limits.waiting}; try again later",
                    retry_after_s=_RETRY_AFTER_S,
                )
            future = self._running[spec] = self._threads.submit(self._builder.build, spec)
        future.add_done_callback(lambda done: self._ended(spec, done))
        return future

    def _ended(self, spec: ConstraintSpec, done: Future[Constraint]) -> None:
        with self._lock:
            del self._running[spec]
            if done.cancelled() or done.exception() is not None:
                return
            if spec not in self._kept:
                self._kept_characters += _characters(spec)
            self._kept[spec] = done.result()
            self._kept.move_to_end(spec)
            while len(self._kept) > self._limits.kept or self._kept_characters > self._limits.kept_characters:
                forgotten, _ = self._kept.popitem(last=False)
                self._kept_characters -= _characters(forgotten)


def _characters(spec: ConstraintSpec) -> int:
    return len(repr(spec))
