"""Which adapters get their own metric label: the most used ones. Knows no metrics library."""

from collections import Counter
from dataclasses import dataclass

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


def label_of(adapter: AdapterKey | None) -> AdapterLabel:
    """Returns the display labels of `adapter`; None is the base."""
    return (
        BASE if adapter is None else AdapterLabel(adapter.name or adapter.digest, str(adapter.version or ""))
    )


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
        """Returns the label to write for `wanted`, without counting a use."""
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
