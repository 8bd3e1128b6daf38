"""One reading of a server's Prometheus page. Knows the format, and no metric."""

import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]


class PageUnreadable(Exception):
    """Nothing answers at the address, or what answers is no metrics page."""


@dataclass(frozen=True, slots=True)
class MetricsPage:
    """The samples of a page by name and labels."""

    samples: Mapping[str, Mapping[Labels, float]]

    @classmethod
    def parse(cls, text: str) -> "MetricsPage":
        """Raises ValueError.

        >>> MetricsPage.parse('x_total{a="1"} 2').total("x_total")
        2.0
        """
        found: dict[str, dict[Labels, float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.name, {})[frozenset(sample.labels.items())] = sample.value
        return cls(found)

    def has(self, name: str) -> bool:
        """Whether there is such a sample."""
        return name in self.samples

    def total(self, name: str, **labels: str) -> float:
        """The sum of the samples that carry `labels`; 0 where there is none."""
        wanted = set(labels.items())
        return sum((value for its, value in self.samples.get(name, {}).items() if wanted <= its), 0.0)

    def by(self, label: str, name: str) -> dict[str, float]:
        """The sums of a metric's samples for each value of one label."""
        sums: dict[str, float] = {}
        for its, value in self.samples.get(name, {}).items():
            word = dict(its).get(label, "")
            sums[word] = sums.get(word, 0.0) + value
        return sums


def read_page(address: str, timeout_s: float) -> MetricsPage:
    """The page at `host:port`, or at an `http://` or `https://` address; raises PageUnreadable."""
    url = address if "://" in address else f"http://{address}/metrics"
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as reply:
            return MetricsPage.parse(reply.read().decode("utf-8"))
    except (OSError, ValueError) as error:
        raise PageUnreadable(f"no metrics page at {url}: {getattr(error, 'reason', error)}") from error
