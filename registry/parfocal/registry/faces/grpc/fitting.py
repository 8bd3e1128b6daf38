"""Pages that fit a message, whatever their items hold. Knows no list by name."""

from collections.abc import Iterable
from typing import TypeVar

from google.protobuf.message import Message

# Clients of gRPC read 4 MiB unless they ask for more.
_PAGE_BYTES = 3 << 20

AnyMessage = TypeVar("AnyMessage", bound=Message)


def fitting(messages: Iterable[AnyMessage]) -> list[AnyMessage]:
    """The first messages that fit one page, at least one where there is any; makes no more than it takes."""
    page: list[AnyMessage] = []
    room = _PAGE_BYTES
    for message in messages:
        room -= message.ByteSize()
        if page and room < 0:
            break
        page.append(message)
    return page
