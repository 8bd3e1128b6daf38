"""What the engine tells whoever watches it. It knows no metrics library."""

from dataclasses import dataclass
from typing import Protocol

from .request import AdapterKey, Timings


@dataclass(frozen=True, slots=True)
class StepReport:
    """One finished step: its duration in seconds, what it computed and what was left in the queues."""

    seconds: float
    tokens: int
    prompt_tokens: int
    generated_tokens: int
    running: int
    waiting: int
    blocks_used: int
    blocks_cached: int
    blocks_free: int


@dataclass(frozen=True, slots=True)
class RequestReport:
    """One ended request. `outcome` is a finish reason's value or an error's reason in lower case."""

    adapter: AdapterKey | None
    outcome: str
    prompt_tokens: int
    cached_tokens: int
    generated_tokens: int
    seconds: float
    first_token_seconds: float | None
    timings: Timings


@dataclass(frozen=True, slots=True)
class AdapterReport:
    """Something that happened to an adapter.

    `event` is one of: hit, wait, miss (a lookup's result), loaded, evicted, failed. `seconds` holds the
    load's stages (fetch, stage, copy); `detail` an eviction's reason or a failure's message; `size_bytes`
    is what the adapter takes on the device.
    """

    event: str
    adapter: AdapterKey
    seconds: dict[str, float]
    size_bytes: int = 0
    detail: str = ""


class Observer(Protocol):
    """Watches an engine. Calls come from the engine's own threads and must return quickly."""

    def step(self, report: StepReport) -> None:
        """Takes one step's figures."""

    def request(self, report: RequestReport) -> None:
        """Takes one ended request's figures."""

    def adapter(self, report: AdapterReport) -> None:
        """Takes one adapter event."""


class SilentObserver:
    """Watches nothing; for tests and one-off scripts."""

    def step(self, report: StepReport) -> None:
        """Ignores the report."""

    def request(self, report: RequestReport) -> None:
        """Ignores the report."""

    def adapter(self, report: AdapterReport) -> None:
        """Ignores the report."""
