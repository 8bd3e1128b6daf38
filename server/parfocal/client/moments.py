"""Moments as messages have them, and back."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from parfocal.client.errors import Corrupt, InvalidRequest


def read_moment(timestamp: Timestamp) -> datetime:
    """The moment in UTC; raises Corrupt."""
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise Corrupt(f"the registry sent a time that no calendar has: {timestamp.seconds} s") from error


def timestamp(moment: datetime | None, field: str) -> Timestamp | None:
    """The message; raises InvalidRequest for a moment without a time zone, which is another one elsewhere."""
    if moment is None:
        return None
    if moment.tzinfo is None:
        raise InvalidRequest(
            f"{field} is {moment}, without a time zone; give one, such as datetime.now(UTC)", field=field
        )
    message = Timestamp()
    message.FromDatetime(moment.astimezone(UTC))
    return message
