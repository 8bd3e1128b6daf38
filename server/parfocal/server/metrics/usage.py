"""Shows how much of what is limited is taken now, read at every scrape. Knows no rpc and no upload."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class Bounded(Protocol):
    """Something of which there may be only so much at a time; `parfocal.rpc.Room` is one."""

    @property
    def most(self) -> float:
        """How much there may be."""

    @property
    def taken(self) -> int:
        """How much there is."""

    @property
    def refused(self) -> int:
        """How often there was no room."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What a server bounds; `slow_uploads` counts those that were ended because they sent too little."""

    rpcs: Bounded
    probes: Bounded
    registry_rpcs: Bounded
    uploads: Bounded
    staged_bytes: Bounded
    slow_uploads: Callable[[], int]


class UsageCollector(Collector):
    """Rpcs, uploads, their bytes and the process's threads. Before `watch`, threads only."""

    def __init__(self) -> None:
        self._usage: Usage | None = None

    def watch(self, usage: Usage) -> None:
        """Shows `usage` from now on."""
        self._usage = usage

    def collect(self) -> Iterator[Metric]:
        """Yields every family as it is now."""
        yield GaugeMetricFamily("parfocal_threads", "Python threads.", value=threading.active_count())
        if self._usage is not None:
            yield from _rpcs(self._usage)
            yield from _uploads(self._usage)


def _rpcs(usage: Usage) -> Iterator[Metric]:
    services = {"all": usage.rpcs, "registry": usage.registry_rpcs, "probes": usage.probes}
    running = GaugeMetricFamily("parfocal_rpcs_running", "Rpcs under way.", labels=("service",))
    limit = GaugeMetricFamily("parfocal_rpcs_limit", "Rpcs that may be under way.", labels=("service",))
    refused = CounterMetricFamily("parfocal_rpcs_refused", "Rpcs beyond the limit.", labels=("service",))
    for service, rpcs in services.items():
        running.add_metric((service,), rpcs.taken)
        limit.add_metric((service,), rpcs.most)
        refused.add_metric((service,), rpcs.refused)
    yield from (running, limit, refused)


def _uploads(usage: Usage) -> Iterator[Metric]:
    uploads, staged = usage.uploads, usage.staged_bytes
    yield GaugeMetricFamily("parfocal_uploads_running", "Uploads under way.", value=uploads.taken)
    yield GaugeMetricFamily("parfocal_uploads_limit", "Uploads that may be under way.", value=uploads.most)
    yield GaugeMetricFamily("parfocal_uploads_staged_bytes", "What uploads have on disk.", value=staged.taken)
    yield GaugeMetricFamily(
        "parfocal_uploads_staged_limit_bytes", "What uploads may have on disk.", value=staged.most
    )
    refused = CounterMetricFamily(
        "parfocal_uploads_refused", "Uploads refused or ended, by limit.", labels=("limit",)
    )
    refused.add_metric(("uploads",), uploads.refused)
    refused.add_metric(("staged_bytes",), staged.refused)
    refused.add_metric(("idle",), usage.slow_uploads())
    yield refused
