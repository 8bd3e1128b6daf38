"""Counts requests that end before the engine takes them. Knows neither rpcs nor a metrics library."""

import asyncio
from types import TracebackType
from typing import Protocol

from parfocal.engine import AdapterKey
from parfocal.server.errors import ContractMismatch


class RefusalCounter(Protocol):
    """Counts refused requests; `ServerMetrics` is one."""

    def refused(self, adapter: AdapterKey | None, outcome: str) -> None:
        """Counts a refused request of a known adapter, or of the base where `adapter` is None."""

    def refused_unresolved(self, outcome: str) -> None:
        """Counts a refused request whose adapter was never found."""


class Admitting:
    """The scope in which one request is admitted: counts an error that leaves it, and lets it pass."""

    def __init__(self, counter: RefusalCounter, reference: str) -> None:
        self._counter = counter
        self._adapter: AdapterKey | None = None
        self._resolved = not reference

    def resolved(self, adapter: AdapterKey | None) -> None:
        """Notes what the reference meant; None is the base."""
        self._adapter, self._resolved = adapter, True

    def __enter__(self) -> "Admitting":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            return
        outcome = _outcome(error)
        if isinstance(error, ContractMismatch):
            self.resolved(error.adapter)
        if self._resolved:
            self._counter.refused(self._adapter, outcome)
        else:
            self._counter.refused_unresolved(outcome)


def _outcome(error: BaseException) -> str:
    if isinstance(error, asyncio.CancelledError):
        return "cancelled"
    return str(getattr(error, "reason", "internal")).lower()
