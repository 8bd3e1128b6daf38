"""Moments of messages. Knows nothing else."""

from datetime import UTC, datetime

from google.protobuf.timestamp_pb2 import Timestamp

from parfocal.registry.errors import ReplyRefused


def read_moment(timestamp: Timestamp) -> datetime:
    """A moment; raises ReplyRefused."""
    try:
        return timestamp.ToDatetime(UTC)
    except (ValueError, OverflowError) as error:
        raise ReplyRefused(
            f"the registry sent a time that no calendar has ({timestamp.seconds} s); nothing of it was used"
        ) from error
