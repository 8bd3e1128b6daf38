"""Reads a server's metrics page for the demo, with prometheus-client's own parser."""

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_METRICS = re.compile(r"^Metrics at (\S+)$", re.MULTILINE)


def metrics_url(log: Path) -> str:
    """The address of the metrics page that a server wrote to its log."""
    found = _METRICS.search(log.read_text("utf-8", "replace"))
    assert found is not None, "a server that serves has said where its metrics are"
    return found[1]


class Metrics:
    """One reading of a metrics page."""

    def __init__(self, url: str) -> None:
        with urllib.request.urlopen(url, timeout=10) as reply:  # our own server, on loopback
            page = reply.read().decode()
        self._samples = [s for family in text_string_to_metric_families(page) for s in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry `labels`."""
        return sum(sample.value for sample in self._named(name) if labels.items() <= sample.labels.items())

    def rows(self, name: str) -> list[tuple[dict[str, str], float]]:
        """Each sample's labels and value."""
        return [(dict(sample.labels), sample.value) for sample in self._named(name)]

    def mean(self, name: str) -> float:
        """A histogram's mean; 0 if nothing was observed."""
        count = self.total(f"{name}_count")
        return self.total(f"{name}_sum") / count if count else 0.0

    def _named(self, name: str) -> Iterator[Sample]:
        return (sample for sample in self._samples if sample.name == name)


def summary(metrics: Metrics) -> list[tuple[str, str]]:
    """A few figures as (name, value)."""
    first = metrics.mean("parfocal_time_to_first_token_seconds")
    further = metrics.mean("parfocal_time_per_output_token_seconds")
    hits = metrics.total("parfocal_adapter_lookups_total", result="hit")
    adapters = metrics.total("parfocal_adapter_memory_bytes", tier="device")
    return [
        *(
            (f"requests: {_who(labels)}, ended by {labels['outcome']}", f"{value:.0f}")
            for labels, value in metrics.rows("parfocal_requests_total")
            if value
        ),
        ("tokens generated", f"{metrics.total('parfocal_generated_tokens_total'):.0f}"),
        ("steps of the engine", f"{metrics.total('parfocal_step_seconds_count'):.0f}"),
        ("time to first token, mean", f"{first * 1e3:.0f} ms"),
        ("time per further token, mean", f"{further * 1e3:.0f} ms"),
        ("adapter found on the device", f"{hits:.0f} times"),
        ("the 4-bit base takes", f"{metrics.total('parfocal_base_memory_bytes') / 2**20:.1f} MiB"),
        ("the adapters beside it take", f"{adapters / 2**20:.1f} MiB"),
    ]


def _who(labels: dict[str, str]) -> str:
    return f"{labels['adapter']}@{labels['version']}" if labels["version"] else "the base"
