"""One rpc to be called: what is sent where, and how the reply is read. The same for both kinds of client."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

Reply = TypeVar("Reply", bound=Message)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Rpc(Generic[Reply, T]):
    """An rpc with one reply, of the type `reply`, that `read` makes a value of.

    `is_repeatable` says that to do it twice does no harm; `is_probe`, that failing is an answer too, so that
    it is asked once.
    """

    path: str
    request: Message
    reply: type[Reply]
    read: Callable[[Reply], T]
    is_repeatable: bool = True
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class StreamRpc(Generic[Reply]):
    """An rpc with a stream of replies."""

    path: str
    request: Message
    reply: type[Reply]


def written(message: Any) -> bytes:
    """The bytes of a request."""
    data: bytes = message.SerializeToString()
    return data
