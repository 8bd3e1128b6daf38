"""What the engine reports to its observer. Knows no metrics library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from parfocal.engine.request import AdapterKey, Timings


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
class LoadReport:
    """What is left in the queues and in the cache once requests have ended without a step after them."""

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

    `event` is one of: hit, wait, miss (what a request found at its first lookup), staged (read into host
    memory ahead of its slot), loaded (on the device), evicted, failed. `seconds` holds the duration of each
    stage: fetch, stage, copy; a load from host memory has only the last. `detail` is an eviction's reason or
    a failure's message; `size_bytes` is what the adapter takes in the tier that it reached or left.
    """

    event: str
    adapter: AdapterKey
    seconds: dict[str, float]
    size_bytes: int = 0
    detail: str = ""


# Every kernel, or choice of kernels, that something slower may replace.
KERNELS = (
    "products",
    *(f"products_{way}" for way in ("compiled", "prmt", "pairs", "levels")),
    "linears",
    "lora",
    *(f"shrink_{way}" for way in ("one_launch", "two_streams")),
    "attention",
    "layers",
    "graphs",
    "likeliest",
    "draws",
    "bends",
    "deterministic",
)


@dataclass(frozen=True, slots=True)
class KernelReport:
    """One of `KERNELS` replaced by the next best path, at start or after a failed launch, and why."""

    kernel: str
    reason: str


@dataclass(frozen=True, slots=True)
class AdapterStatus:
    """One adapter that the engine holds.

    `tier` is the fastest memory that holds it, device or host, and `size_bytes` what it takes there;
    `host_bytes` is what it takes in host memory, 0 if it is not kept there. `load_seconds` holds the duration
    of each stage of its last load to that tier. `pins` counts requests; an adapter that `is_pinned` is never
    evicted.
    """

    adapter: AdapterKey
    state: str
    tier: str
    rank: int
    size_bytes: int
    pins: int
    host_bytes: int = 0
    load_seconds: Mapping[str, float] = field(default_factory=dict)
    is_pinned: bool = False


class Observer(Protocol):
    """Watches an engine. Calls come from the engine's own threads and must return quickly."""

    def step(self, report: StepReport) -> None:
        """Receives a step's figures."""

    def load(self, report: LoadReport) -> None:
        """Receives the figures of an engine that rests, when they are not those of its last step."""

    def request(self, report: RequestReport) -> None:
        """Receives an ended request's figures."""

    def adapter(self, report: AdapterReport) -> None:
        """Receives an adapter event."""

    def kernel(self, report: KernelReport) -> None:
        """Receives a kernel's replacement."""


class SilentObserver:
    """Watches nothing; for tests and one-off scripts."""

    def step(self, report: StepReport) -> None:
        """Ignores the report."""

    def load(self, report: LoadReport) -> None:
        """Ignores the report."""

    def request(self, report: RequestReport) -> None:
        """Ignores the report."""

    def adapter(self, report: AdapterReport) -> None:
        """Ignores the report."""

    def kernel(self, report: KernelReport) -> None:
        """Ignores the report."""
