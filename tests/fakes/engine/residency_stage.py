"""A residency of slots and host memory whose loads and prefetches end when the test says so."""

from fakes.engine.runner import FakeDevice, FakeLoader
from parfocal.engine import AdapterKey, AdapterReport, SilentObserver
from parfocal.engine.adapters.host_tier import HostTier
from parfocal.engine.adapters.loads import LoadAdvanced, LoadEnded, PrefetchEnded
from parfocal.engine.adapters.residency import SlotResidency, Tiers
from parfocal.engine.adapters.slots import Slot, SlotTable


class Diary(SilentObserver):
    """Writes down adapter events."""

    def __init__(self) -> None:
        self.reports: list[AdapterReport] = []

    def adapter(self, report: AdapterReport) -> None:
        self.reports.append(report)

    @property
    def lines(self) -> list[str]:
        return [f"{report.event} {report.adapter.digest}" for report in self.reports]


class Stage:
    """A residency whose loads end when the test says so."""

    def __init__(self, slots: int = 2, host_bytes: int = 0, prefetches: int = 2) -> None:
        self.diary, self.device, self.table = Diary(), FakeDevice(), SlotTable(slots)
        self.loader = FakeLoader(self.device, self._told)
        self.host = HostTier(host_bytes)
        self.residency = SlotResidency(Tiers(self.table, self.host, prefetches), self.loader, self.diary)
        self.refusals: list[Exception] = []

    def _told(self, message: LoadAdvanced | LoadEnded | PrefetchEnded) -> None:
        if isinstance(message, LoadAdvanced):
            self.residency.advanced(message.adapter, message.state)
            return
        error = message.result.exception()
        if isinstance(message, PrefetchEnded):
            if error is None:
                self.residency.prefetched(message.adapter, message.result.result())
            else:
                self.refusals.append(self.residency.prefetch_failed(message.adapter, error))
        elif error is None:
            self.residency.loaded(message.adapter, message.result.result())
        else:
            self.refusals.append(self.residency.failed(message.adapter, error))

    def reserve(self, digest: str) -> Slot:
        slot = self.residency.reserve(AdapterKey(digest, f"team/{digest}", 3))
        assert slot is not None
        return slot

    def load(self, digest: str) -> Slot:
        """Brings an adapter to the device and leaves it unpinned."""
        slot = self.reserve(digest)
        self.loader.succeed(slot.adapter)
        self.residency.release(slot)
        return slot


def keys(digests: str) -> list[AdapterKey]:
    return [AdapterKey(digest, f"team/{digest}", 3) for digest in digests]
