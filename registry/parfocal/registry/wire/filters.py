"""Filters of lists as messages, and back. Knows no list."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from parfocal.registry.errors import InvalidArgument
from parfocal.registry.values import (
    ALL_VERSIONS,
    Comparison,
    MetricCondition,
    MoveFilter,
    Span,
    VersionFilter,
)
from parfocal.v1 import registry_service_pb2 as pb

_COMPARISONS = {
    Comparison.AT_LEAST: pb.COMPARISON_AT_LEAST,
    Comparison.AT_MOST: pb.COMPARISON_AT_MOST,
    Comparison.ABOVE: pb.COMPARISON_ABOVE,
    Comparison.BELOW: pb.COMPARISON_BELOW,
    Comparison.EQUAL: pb.COMPARISON_EQUAL,
    Comparison.NOT: pb.COMPARISON_NOT,
}
# Of the request for moves, which holds its filter itself.
_OF_MOVES = ("actor", "moved_since", "moved_until")
_COMPARED = {number: comparison for comparison, number in _COMPARISONS.items()}


def filter_message(where: VersionFilter) -> pb.VersionFilter | None:
    """A filter of versions as a message; None for all."""
    if where == ALL_VERSIONS:
        return None
    return pb.VersionFilter(
        base=where.base,
        parent=where.parent,
        alias=where.alias,
        actor=where.actor,
        published_since=timestamp(where.published.since),
        published_until=timestamp(where.published.until),
        search=where.search,
        tags=where.tags,
        metrics=[
            pb.MetricCondition(
                metric=each.metric, comparison=_COMPARISONS[each.comparison], number=each.number
            )
            for each in where.metrics
        ],
    )


def read_filter(message: pb.VersionFilter) -> VersionFilter:
    """The filter that a message is; raises InvalidArgument."""
    published = Span(_moment(message, "published_since"), _moment(message, "published_until"))
    return VersionFilter(
        message.base,
        message.parent,
        message.alias,
        message.actor,
        published,
        message.search,
        tuple(message.tags),
        tuple(map(_metric, message.metrics)),
    )


def read_move_filter(message: pb.ListAliasMovesRequest) -> MoveFilter:
    """The filter within a request; raises InvalidArgument."""
    return MoveFilter(message.actor, Span(_moment(message, "moved_since"), _moment(message, "moved_until")))


def fields_set(message: pb.VersionFilter | pb.ListAliasMovesRequest) -> list[str]:
    """The names of the fields by which a list is to be filtered: an answer says that it was."""
    names = [field.name for field, _ in message.ListFields()]
    return names if isinstance(message, pb.VersionFilter) else [name for name in names if name in _OF_MOVES]


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment as a message; None for none."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC))
    return message


def _metric(message: pb.MetricCondition) -> MetricCondition:
    if message.comparison not in _COMPARED:
        raise InvalidArgument(
            f"filter.metrics compares {message.metric[:80]!a} in no way that is known; set comparison",
            field="filter.metrics",
        )
    return MetricCondition(message.metric, _COMPARED[message.comparison], message.number)


def _moment(message: pb.VersionFilter | pb.ListAliasMovesRequest, field: str) -> datetime | None:
    if not message.HasField(field):  # type: ignore[arg-type]  # each field is one of its message
        return None
    given: Timestamp = getattr(message, field)
    try:
        return given.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidArgument(
            f"{field} is {given.seconds} s, a time that no calendar has", field=field
        ) from error
