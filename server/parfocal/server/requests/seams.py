"""What requests ask of the parts around them: who knows adapters, compiles forms, takes requests."""

from collections.abc import AsyncIterator
from typing import Protocol

from parfocal.engine import Delta, Request
from parfocal.engine.constraints import Constraint, ConstraintSpec
from parfocal.server.requests.adapters import Resolved


class Resolver(Protocol):
    """Knows what adapter references mean."""

    async def resolve(self, reference: str, key: str = "") -> Resolved:
        """What `reference` means now, to the request with this key where an alias has two versions."""


class DeltaStream(Protocol):
    """One request's deltas, the last with a completion; the engine's `Stream` is one."""

    def __aiter__(self) -> AsyncIterator[Delta]:
        """The deltas."""

    def cancel(self) -> None:
        """Ends the request; no effect once it has ended."""


class Submitter(Protocol):
    """Takes requests; the engine's thread is one."""

    def submit(self, request: Request) -> DeltaStream:
        """The request's deltas; raises an EngineError if it is refused."""


class Compiler(Protocol):
    """Compiles what answers must look like; the engine's `ConstraintCompiler` is one."""

    async def compile(self, spec: ConstraintSpec) -> Constraint:
        """What holds an answer to `spec`; raises an EngineError."""
