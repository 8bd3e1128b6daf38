"""What two readings of a metrics page say together: rates, quantiles, errors. Knows our metrics by name."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from parfocal.cli.monitoring.metrics_page import MetricsPage

_GOOD = frozenset({"stop", "length", "stop_string", "cancelled"})
_GENERATED = "parfocal_generated_tokens_total"


@dataclass(frozen=True, slots=True)
class Quantiles:
    """The median and the 99th percentile of a histogram, in seconds, estimated within its buckets."""

    p50: float
    p99: float


@dataclass(frozen=True, slots=True)
class Figures:
    """A server's figures.

    Quantiles and errors are of `window_s` seconds; of the server's whole life where it is None, and there are
    no rates then. The others are of the moment. Memory is in bytes, by who takes it.
    """

    window_s: float | None
    running: int
    waiting: int
    tokens_per_s: float | None
    prompt_tokens_per_s: float | None
    first_token: Quantiles | None
    per_token: Quantiles | None
    errors: Mapping[str, int]
    blocks: Mapping[str, int]
    memory: Mapping[str, int]
    tokens_by_adapter: Mapping[tuple[str, str], float] = field(default_factory=dict)
    requests_by_adapter: Mapping[tuple[str, str], float] = field(default_factory=dict)


def figures_between(now: MetricsPage, before: MetricsPage | None, seconds: float | None) -> Figures:
    """What `now` says since `before`, so many seconds earlier; since the server's start without one."""
    if before is not None and now.total(_GENERATED) < before.total(_GENERATED):
        before = seconds = None  # another server, or the same begun anew: its counters began at 0
    rates = None if before is None else seconds
    return Figures(
        window_s=rates,
        running=int(now.total("parfocal_requests_running")),
        waiting=int(now.total("parfocal_requests_waiting")),
        tokens_per_s=_rate(now, before, _GENERATED, rates),
        prompt_tokens_per_s=_rate(now, before, "parfocal_prompt_tokens_total", rates),
        first_token=_quantiles(now, before, "parfocal_time_to_first_token_seconds"),
        per_token=_quantiles(now, before, "parfocal_time_per_output_token_seconds"),
        errors=_errors(now, before),
        blocks={state: int(count) for state, count in now.by("state", "parfocal_kv_blocks").items()},
        memory=_memory(now),
        tokens_by_adapter=_by_adapter(now, before, "parfocal_adapter_generated_tokens_total", rates),
        requests_by_adapter=_by_adapter(now, before, "parfocal_requests_total", rates),
    )


def quantile(share: float, buckets: Sequence[tuple[float, float]]) -> float | None:
    """The value below which `share` of the observations lie, as Prometheus' histogram_quantile has it.

    `buckets` are (upper bound, cumulative count), the last one unbounded. None without observations.

    >>> quantile(0.5, [(1.0, 0.0), (2.0, 10.0), (math.inf, 10.0)])
    1.5
    """
    total = buckets[-1][1] if buckets else 0.0
    if total <= 0:
        return None
    rank, below, under = share * total, 0.0, 0.0
    for bound, count in buckets:
        if count >= rank and count > under:
            return below if math.isinf(bound) else below + (bound - below) * (rank - under) / (count - under)
        below, under = bound, count
    return below


def _rate(now: MetricsPage, before: MetricsPage | None, name: str, seconds: float | None) -> float | None:
    if before is None or not seconds:
        return None
    return max(0.0, now.total(name) - before.total(name)) / seconds


def _quantiles(now: MetricsPage, before: MetricsPage | None, name: str) -> Quantiles | None:
    counts = now.by("le", f"{name}_bucket")
    earlier = {} if before is None else before.by("le", f"{name}_bucket")
    buckets = sorted((float(bound), count - earlier.get(bound, 0.0)) for bound, count in counts.items())
    median, high = quantile(0.5, buckets), quantile(0.99, buckets)
    return None if median is None or high is None else Quantiles(median, high)


def _errors(now: MetricsPage, before: MetricsPage | None) -> dict[str, int]:
    counts = now.by("outcome", "parfocal_requests_total")
    earlier = {} if before is None else before.by("outcome", "parfocal_requests_total")
    found = {name: int(count - earlier.get(name, 0.0)) for name, count in counts.items() if name not in _GOOD}
    return dict(sorted(((name, n) for name, n in found.items() if n > 0), key=lambda each: -each[1]))


def _memory(now: MetricsPage) -> dict[str, int]:
    tiers = now.by("tier", "parfocal_adapter_memory_bytes")
    return {
        "process": int(now.total("process_resident_memory_bytes")),
        "base": int(now.total("parfocal_base_memory_bytes")),
        **{f"adapters, {tier}": int(size) for tier, size in sorted(tiers.items())},
    }


def _by_adapter(
    now: MetricsPage, before: MetricsPage | None, name: str, seconds: float | None
) -> dict[tuple[str, str], float]:
    """Rates by the adapter's and the version's label; empty without a window, or where the metric is not."""
    if before is None or not seconds:
        return {}
    sums: dict[tuple[str, str], float] = {}
    for sign, page in ((1.0, now), (-1.0, before)):
        for labels, value in page.samples.get(name, {}).items():
            its = dict(labels)
            key = (its.get("adapter", ""), its.get("version", ""))
            sums[key] = sums.get(key, 0.0) + sign * value
    return {key: max(0.0, count) / seconds for key, count in sums.items()}
