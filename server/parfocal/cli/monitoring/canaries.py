"""The canaries on a server's metrics page, and how their two versions do."""

from collections.abc import Mapping
from dataclasses import dataclass

from parfocal.cli.monitoring.metrics_page import Labels, MetricsPage

_ROLES = ("stable", "canary")


@dataclass(frozen=True, slots=True)
class VersionFigures:
    """Ended requests of one version, how many failed, and geometric means, None where none was measured."""

    version: str
    requests: int
    failed: int
    first_token_s: float | None
    tokens: float | None

    def row(self, role: str) -> tuple[str, ...]:
        """The figures as a line of a table."""
        share = f" ({self.failed / self.requests:.1%})" if self.requests else ""
        first = "-" if self.first_token_s is None else f"{self.first_token_s * 1e3:.0f} ms"
        tokens = "-" if self.tokens is None else f"{self.tokens:.1f}"
        return role, self.version, str(self.requests), f"{self.failed}{share}", first, tokens

    def to_json(self) -> dict[str, object]:
        """The figures as a JSON object."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, slots=True)
class CanaryFigures:
    """An alias with a canary: what share of its requests that gets here, and both versions' figures."""

    adapter: str
    alias: str
    weight: float
    versions: Mapping[str, VersionFigures]

    def rows(self) -> list[tuple[str, ...]]:
        """The figures as lines of a table."""
        return [self.versions[role].row(role) for role in _ROLES if role in self.versions]

    def to_json(self) -> dict[str, object]:
        """The figures as a JSON object."""
        return {
            "adapter": self.adapter,
            "alias": self.alias,
            "weight_percent": self.weight * 100,
            **{role: each.to_json() for role, each in self.versions.items()},
        }


def canaries_on(page: MetricsPage) -> tuple[CanaryFigures, ...]:
    """The canaries that a page tells of, by adapter and alias."""
    found = []
    for labels, weight in page.samples.get("parfocal_canary_weight", {}).items():
        its = dict(labels)
        adapter, alias = its.get("adapter", ""), its.get("alias", "")
        versions = {role: each for role in _ROLES if (each := _version(page, adapter, alias, role))}
        found.append(CanaryFigures(adapter, alias, weight, versions))
    return tuple(sorted(found, key=lambda each: (each.adapter, each.alias)))


def _version(page: MetricsPage, adapter: str, alias: str, role: str) -> VersionFigures | None:
    place = {("adapter", adapter), ("alias", alias), ("role", role)}
    counts = _these(page, "parfocal_canary_requests_total", place)
    means = {
        dict(labels).get("metric"): value
        for labels, value in _these(page, "parfocal_canary_mean", place).items()
    }
    versions = {dict(labels).get("version", "") for labels in counts}
    if len(versions) != 1:
        return None
    by_outcome = {dict(labels).get("outcome"): int(value) for labels, value in counts.items()}
    failed = by_outcome.get("failed", 0)
    return VersionFigures(
        versions.pop(), sum(by_outcome.values()), failed, means.get("ttft"), means.get("tokens")
    )


def _these(page: MetricsPage, name: str, place: set[tuple[str, str]]) -> dict[Labels, float]:
    return {labels: value for labels, value in page.samples.get(name, {}).items() if place <= labels}
