"""Replies that are bytes already: large ones are written by whoever has the time, not by the event loop."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from google.protobuf.message import Message

AnyMessage = TypeVar("AnyMessage", bound=Message)


def as_reply(kind: type[AnyMessage], data: bytes) -> AnyMessage:
    """`data`, to be returned by an rpc whose reply is a message of `kind`: they are sent as they are."""
    return cast(AnyMessage, data)


def writer(serialise: Callable[[Any], bytes] | None) -> Callable[[Any], bytes] | None:
    """What `serialise` makes of messages, and bytes as they are."""
    if serialise is None:
        return None
    return lambda reply: reply if isinstance(reply, bytes) else serialise(reply)
