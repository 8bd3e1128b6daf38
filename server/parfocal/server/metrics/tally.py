"""Counts ended requests by adapter, version and outcome. Only the most used adapters have labels."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from threading import Lock

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from parfocal.engine import AdapterKey

_DECAY_EVERY = 10_000


@dataclass(frozen=True, slots=True)
class AdapterLabel:
    """The `adapter` and `version` labels of one series."""

    adapter: str
    version: str = ""


BASE = AdapterLabel("base")
OTHER = AdapterLabel("other")
UNKNOWN = AdapterLabel("unknown")
_PSEUDO = frozenset({BASE, OTHER, UNKNOWN})


def label_of(adapter: AdapterKey | None) -> AdapterLabel:
    """The display labels of `adapter`; None is the base."""
    return (
        BASE if adapter is None else AdapterLabel(adapter.name or adapter.digest, str(adapter.version or ""))
    )


class RequestTally:
    """Ended requests per label and outcome. What a label counted moves to `other` when it loses its place.

    So the sum over all series never falls, and no request is counted twice or lost.
    """

    def __init__(self, adapter_labels: int) -> None:
        self._table = LabelTable(adapter_labels)
        self._counts: Counter[tuple[AdapterLabel, str]] = Counter()
        self._tokens: Counter[AdapterLabel] = Counter()
        self._lock = Lock()

    def expect(self, label: AdapterLabel, outcome: str) -> None:
        """Shows a series at 0, so rate() sees the first request."""
        with self._lock:
            self._counts[label, outcome] += 0

    def add(self, wanted: AdapterLabel, outcome: str, tokens: int = 0) -> None:
        """Counts one ended request and the tokens that it generated."""
        with self._lock:
            label, dropped = (wanted, None) if wanted in _PSEUDO else self._table.use(wanted)
            if dropped is not None:
                self._fold(dropped)
            self._counts[label, outcome] += 1
            self._tokens[label] += tokens

    def rows(self) -> list[tuple[AdapterLabel, str, int]]:
        """Every series: label, outcome, count."""
        with self._lock:
            return [(label, outcome, count) for (label, outcome), count in self._counts.items()]

    def tokens(self) -> list[tuple[AdapterLabel, int]]:
        """The tokens that ended requests generated, by label."""
        with self._lock:
            return list(self._tokens.items())

    def label(self, wanted: AdapterLabel) -> AdapterLabel:
        """The label that `wanted` has now; never makes a new one."""
        with self._lock:
            return self._table.label(wanted)

    def _fold(self, dropped: AdapterLabel) -> None:
        for key in [key for key in self._counts if key[0] == dropped]:
            self._counts[OTHER, key[1]] += self._counts.pop(key)
        self._tokens[OTHER] += self._tokens.pop(dropped, 0)


class TallyCollector(Collector):
    """The counters `parfocal_requests_total` and `parfocal_adapter_generated_tokens_total`."""

    def __init__(self, tally: RequestTally) -> None:
        self._tally = tally

    def collect(self) -> Iterator[CounterMetricFamily]:
        """Yields both families as they are now."""
        family = CounterMetricFamily(
            "parfocal_requests", "Ended requests.", labels=("adapter", "version", "outcome")
        )
        for label, outcome, count in self._tally.rows():
            family.add_metric((label.adapter, label.version, outcome), count)
        yield family
        tokens = CounterMetricFamily(
            "parfocal_adapter_generated_tokens",
            "Tokens of ended requests, by adapter.",
            labels=("adapter", "version"),
        )
        for label, count in self._tally.tokens():
            tokens.add_metric((label.adapter, label.version), count)
        yield tokens


class LabelTable:
    """The `capacity` adapter versions that are used most; all others share the label `other`.

    Counts decay: all are halved every 10,000 uses, so that former favourites make room, and versions that
    nobody uses are forgotten, which bounds the table's memory. Not thread-safe.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._uses: Counter[AdapterLabel] = Counter()
        self._labelled: set[AdapterLabel] = set()
        self._until_decay = _DECAY_EVERY

    def use(self, wanted: AdapterLabel) -> tuple[AdapterLabel, AdapterLabel | None]:
        """Counts one use of `wanted`; returns the label to write and one that just lost its place, if any."""
        self._uses[wanted] += 1
        self._fade()
        if wanted in self._labelled:
            return wanted, None
        if len(self._labelled) < self._capacity:
            self._labelled.add(wanted)
            return wanted, None
        return self._contend(wanted)

    def label(self, wanted: AdapterLabel) -> AdapterLabel:
        """The label to write for `wanted`, without counting a use."""
        return wanted if wanted in self._labelled else OTHER

    def _contend(self, wanted: AdapterLabel) -> tuple[AdapterLabel, AdapterLabel | None]:
        if not self._labelled:
            return OTHER, None
        weakest = min(self._labelled, key=lambda label: (self._uses[label], label.adapter, label.version))
        if self._uses[wanted] <= self._uses[weakest]:
            return OTHER, None
        self._labelled.remove(weakest)
        self._labelled.add(wanted)
        return wanted, weakest

    def _fade(self) -> None:
        self._until_decay -= 1
        if self._until_decay == 0:
            self._until_decay = _DECAY_EVERY
            self._uses = Counter({label: uses // 2 for label, uses in self._uses.items() if uses > 1})
