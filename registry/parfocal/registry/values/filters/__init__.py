"""Which versions or moves a list is to show."""

from parfocal.registry.values.filters.lists import (
    ALL_MOVES,
    ALL_VERSIONS,
    MoveFilter,
    Span,
    VersionFilter,
    adapters_listing,
)
from parfocal.registry.values.filters.metric_conditions import Comparison, MetricCondition

__all__ = [
    "ALL_MOVES",
    "ALL_VERSIONS",
    "Comparison",
    "MetricCondition",
    "MoveFilter",
    "Span",
    "VersionFilter",
    "adapters_listing",
]
