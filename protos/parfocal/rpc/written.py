"""Replies that are bytes already: large ones are written by whoever has the time, not by the event loop."""

from typing import TypeVar, cast

from google.protobuf.message import Message

AnyMessage = TypeVar("AnyMessage", bound=Message)


def as_reply(kind: type[AnyMessage], data: bytes) -> AnyMessage:
    """`data`, to be returned by an rpc whose reply is a message of `kind`: they are sent as they are."""
    return cast(AnyMessage, data)
