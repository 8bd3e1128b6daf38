"""Shows the adapters that the engine holds, read from it at every scrape."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from parfocal.engine import AdapterStatus
from parfocal.server.metrics.tally import AdapterLabel, label_of

TIERS = ("device", "host")
_NOT_HERE_YET = "fetching"


class AdapterLister(Protocol):
    """Knows which adapters are in memory now; the engine is one."""

    def adapters(self) -> Sequence[AdapterStatus]:
        """The adapters that are held, loading or leaving."""


class ResidentCollector(Collector):
    """The gauges `parfocal_adapter_resident` and `parfocal_adapter_memory_bytes`."""

    def __init__(self, label: Callable[[AdapterLabel], AdapterLabel]) -> None:
        self._label = label
        self._engine: AdapterLister | None = None

    def watch(self, engine: AdapterLister) -> None:
        """Reads from `engine` from now on; before that, nothing is resident."""
        self._engine = engine

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yields both families as they are now."""
        statuses = self._engine.adapters() if self._engine else ()
        held = [status for status in statuses if status.state != _NOT_HERE_YET or status.host_bytes]
        yield self._resident(held)
        yield self._memory(held)

    def _resident(self, held: Sequence[AdapterStatus]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "parfocal_adapter_resident",
            "Adapters in memory: 1 each, and how many under `other`.",
            labels=("adapter", "version", "tier"),
        )
        counts = Counter(
            (self._label(label_of(status.adapter)), tier)
            for status in held
            for tier in _bytes_by_tier(status)
        )
        for (label, tier), count in counts.items():
            family.add_metric((label.adapter, label.version, tier), count)
        return family

    def _memory(self, held: Sequence[AdapterStatus]) -> GaugeMetricFamily:
        family = GaugeMetricFamily(
            "parfocal_adapter_memory_bytes", "What adapters take, by tier.", labels=("tier",)
        )
        for tier in TIERS:
            family.add_metric((tier,), sum(_bytes_by_tier(status).get(tier, 0) for status in held))
        return family


def _bytes_by_tier(status: AdapterStatus) -> dict[str, int]:
    """What the adapter takes in each tier; one on the device may be kept in host memory too."""
    kept = {"host": status.host_bytes} if status.host_bytes else {}
    return kept | {status.tier: status.size_bytes}
