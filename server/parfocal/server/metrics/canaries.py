"""Shows the canaries of aliases, and how their two versions do, read at every scrape."""

from collections.abc import Callable, Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from parfocal.registry import GuardedMetric
from parfocal.registry.values import WHOLE
from parfocal.server.canaries import Measured, Shown

_PLACE = ("adapter", "alias", "version")


class CanaryCollector(Collector):
    """The families `parfocal_canary_…`, of at most `most` canaries: those asked for last."""

    def __init__(self, shown: Callable[[], Sequence[Shown]], most: int) -> None:
        self._shown = shown
        self._most = most

    def describe(self) -> Iterator[Metric]:
        """Yields no family: which there are shows at a scrape."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """Yields every family as it is now."""
        shown = self._shown()[: self._most]
        yield _weights(shown)
        yield _requests(shown)
        yield _means(shown)
        yield _differences(shown)


def _weights(shown: Sequence[Shown]) -> Metric:
    family = GaugeMetricFamily(
        "parfocal_canary_weight",
        "The share of an alias's requests that its canary gets here; 0 where it was found worse.",
        labels=_PLACE,
    )
    for each in shown:
        family.add_metric(_place(each), 0 if each.is_held else each.canary.weight / WHOLE)
    return family


def _requests(shown: Sequence[Shown]) -> Metric:
    family = CounterMetricFamily(
        "parfocal_canary_requests",
        "Ended requests of an alias since it has its canary, by version; those given up do not count.",
        labels=(*_PLACE, "role", "outcome"),
    )
    for each in shown:
        for version, role, measured in _roles(each):
            place = each.canary.name, each.canary.alias, version, role
            family.add_metric((*place, "failed"), measured.errors)
            family.add_metric((*place, "answered"), measured.requests - measured.errors)
    return family


def _means(shown: Sequence[Shown]) -> Metric:
    family = GaugeMetricFamily(
        "parfocal_canary_mean",
        "What a guard compares, by version: the share of errors, geometric means of seconds and of tokens.",
        labels=(*_PLACE, "role", "metric"),
    )
    for each in shown:
        for version, role, measured in _roles(each):
            for metric in GuardedMetric:
                value = measured.value(metric)
                if value is not None:
                    place = each.canary.name, each.canary.alias, version, role
                    family.add_metric((*place, metric.value), value)
    return family


def _differences(shown: Sequence[Shown]) -> Metric:
    family = GaugeMetricFamily(
        "parfocal_canary_difference",
        "The canary's difference from the other version, and the ends of its interval; as its guards see it.",
        labels=(*_PLACE, "metric", "end"),
    )
    for each in shown:
        for found in each.found:
            ends = {"value": found.difference, "low": found.low, "high": found.high}
            for end, value in ends.items():
                family.add_metric((*_place(each), found.metric.value, end), value)
    return family


def _place(shown: Shown) -> tuple[str, str, str]:
    return shown.canary.name, shown.canary.alias, str(shown.canary.version)


def _roles(shown: Shown) -> Iterator[tuple[str, str, Measured]]:
    yield str(shown.canary.version), "canary", shown.measured
    yield str(shown.stable_version), "stable", shown.stable
