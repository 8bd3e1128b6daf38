"""Which versions or moves a list is to show, written as messages; and whether a server has looked at them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from parfocal.client.errors import InvalidRequest, NotSupported
from parfocal.client.moments import timestamp
from parfocal.v1 import registry_service_pb2 as pb

_COMPARISONS = {
    ">=": pb.COMPARISON_AT_LEAST,
    "<=": pb.COMPARISON_AT_MOST,
    ">": pb.COMPARISON_ABOVE,
    "<": pb.COMPARISON_BELOW,
    "=": pb.COMPARISON_EQUAL,
    "!=": pb.COMPARISON_NOT,
}
# Of the request for moves, which holds its filter itself.
_OF_MOVES = ("actor", "moved_since", "moved_until")


@dataclass(frozen=True, slots=True)
class Metric:
    """A recorded metric, of a slice if `/` and the slice follow, compares so with a number.

    Example: Metric("f1/de", ">=", 0.9)
    """

    name: str
    comparison: Literal[">=", "<=", ">", "<", "=", "!="]
    number: float


@dataclass(frozen=True, slots=True)
class VersionFilter:
    """What a version must have to be listed: all that is given.

    `base` is the id in its contract, `parent` what it was trained on from, `alias` one that points at it now,
    `actor` who published it. `since` and `until` bound when, the second not included; `search` are words,
    each a part of the adapter's name, of the base's id or of a tag, whatever its case.
    """

    base: str = ""
    parent: str = ""
    alias: str = ""
    actor: str = ""
    since: datetime | None = None
    until: datetime | None = None
    search: str = ""
    tags: Sequence[str] = ()
    metrics: Sequence[Metric] = ()


@dataclass(frozen=True, slots=True)
class MoveFilter:
    """Which moves of aliases: those that `actor` made, since a moment and until another, not included."""

    actor: str = ""
    since: datetime | None = None
    until: datetime | None = None


EVERY_VERSION = VersionFilter()
EVERY_MOVE = MoveFilter()


def filter_message(where: VersionFilter) -> pb.VersionFilter | None:
    """The filter as a message, None for all; raises InvalidRequest."""
    message = pb.VersionFilter(
        base=where.base,
        parent=where.parent,
        alias=where.alias,
        actor=where.actor,
        published_since=timestamp(where.since, "filter.since"),
        published_until=timestamp(where.until, "filter.until"),
        search=where.search,
        tags=where.tags,
        metrics=map(_condition, where.metrics),
    )
    return message if message.ListFields() else None


def check_applied(asked: pb.VersionFilter | pb.ListAliasMovesRequest, applied_filters: Sequence[str]) -> None:
    """Raises NotSupported where a server did not look at all of a filter: what it lists is more."""
    names = [field.name for field, _ in asked.ListFields()]
    if isinstance(asked, pb.ListAliasMovesRequest):
        names = [name for name in names if name in _OF_MOVES]
    ignored = sorted(set(names).difference(applied_filters))
    if ignored:
        raise NotSupported(
            f"the server did not filter its list by {', '.join(ignored)}, which is older than that filter; "
            "list without it, or upgrade the server",
            reason="FILTER_IGNORED",
            field=ignored[0],
        )


def _condition(metric: Metric) -> pb.MetricCondition:
    if metric.comparison not in _COMPARISONS:
        raise InvalidRequest(
            f"a metric is compared by {metric.comparison!r:.40}; use one of {', '.join(_COMPARISONS)}",
            field="filter.metrics",
        )
    comparison = _COMPARISONS[metric.comparison]
    return pb.MetricCondition(metric=metric.name, comparison=comparison, number=metric.number)
