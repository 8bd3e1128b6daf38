"""What a running server shows: its metrics and their labels, read from its own page."""

import re
from dataclasses import dataclass

_TYPE = re.compile(r"^# TYPE (\S+) (\S+)$")
_SAMPLE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? \S+")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="')
_PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}


@dataclass(frozen=True, slots=True)
class Scrape:
    """`metrics`: every name that a query may use; `labels`: of those that had samples."""

    metrics: frozenset[str]
    labels: dict[str, set[str]]


def read_scrape(text: str) -> Scrape:
    """Reads Prometheus' text format; a family without samples counts by its TYPE line."""
    metrics: set[str] = set()
    labels: dict[str, set[str]] = {}
    for line in text.splitlines():
        if kind := _TYPE.match(line):
            metrics |= {kind[1] + part for part in _PARTS.get(kind[2], ("",))}
        elif sample := _SAMPLE.match(line):
            metrics.add(sample[1])
            labels.setdefault(sample[1], set()).update(_LABEL.findall(sample[2] or ""))
    return Scrape(frozenset(metrics), labels)
