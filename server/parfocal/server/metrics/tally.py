"""Counts ended requests by adapter, version and outcome with a bounded number of series. Thread-safe."""

from collections import Counter
from collections.abc import Iterator
from threading import Lock

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from parfocal.server.metrics.labels import BASE, OTHER, UNKNOWN, AdapterLabel, LabelTable

_PSEUDO = frozenset({BASE, OTHER, UNKNOWN})


class RequestTally:
    """Ended requests per label and outcome. What a label counted moves to `other` when it loses its place.

    So the sum over all series never falls, and no request is counted twice or lost.
    """

    def __init__(self, adapter_labels: int) -> None:
        self._table = LabelTable(adapter_labels)
        self._counts: Counter[tuple[AdapterLabel, str]] = Counter()
        self._lock = Lock()

    def expect(self, label: AdapterLabel, outcome: str) -> None:
        """Shows a series at 0, so rate() sees the first request."""
        with self._lock:
            self._counts[label, outcome] += 0

    def add(self, wanted: AdapterLabel, outcome: str) -> None:
        """Counts one ended request."""
        with self._lock:
            label, dropped = (wanted, None) if wanted in _PSEUDO else self._table.use(wanted)
            if dropped is not None:
                self._fold(dropped)
            self._counts[label, outcome] += 1

    def rows(self) -> list[tuple[AdapterLabel, str, int]]:
        """Returns every series: label, outcome, count."""
        with self._lock:
            return [(label, outcome, count) for (label, outcome), count in self._counts.items()]

    def label(self, wanted: AdapterLabel) -> AdapterLabel:
        """Returns the label that `wanted` has now; never makes a new one."""
        with self._lock:
            return self._table.label(wanted)

    def _fold(self, dropped: AdapterLabel) -> None:
        for key in [key for key in self._counts if key[0] == dropped]:
            self._counts[OTHER, key[1]] += self._counts.pop(key)


class TallyCollector(Collector):
    """The counter `parfocal_requests_total`."""

    def __init__(self, tally: RequestTally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yields the family as it is now."""
        family = CounterMetricFamily(
            "parfocal_requests", "Ended requests.", labels=("adapter", "version", "outcome")
        )
        for label, outcome, count in self._tally.rows():
            family.add_metric((label.adapter, label.version, outcome), count)
        yield family
