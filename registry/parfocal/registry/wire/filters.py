"""Filters of lists as messages, and back. Knows no list."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from parfocal.registry.errors import InvalidArgument
from parfocal.registry.values import ALL_VERSIONS, MoveFilter, Span, VersionFilter
from parfocal.v1 import registry_service_pb2 as pb


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
    )


def read_filter(message: pb.VersionFilter) -> VersionFilter:
    """The filter that a message is; raises InvalidArgument."""
    published = Span(_moment(message, "published_since"), _moment(message, "published_until"))
    return VersionFilter(message.base, message.parent, message.alias, message.actor, published)


def read_move_filter(message: pb.ListAliasMovesRequest) -> MoveFilter:
    """The filter within a request; raises InvalidArgument."""
    return MoveFilter(message.actor, Span(_moment(message, "moved_since"), _moment(message, "moved_until")))


def timestamp(moment: datetime | None) -> Timestamp | None:
    """A moment as a message; None for none."""
    if moment is None:
        return None
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC))
    return message


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
