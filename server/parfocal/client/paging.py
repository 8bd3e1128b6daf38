"""Follows lists page by page."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import TypeVar

from parfocal.client.errors import Corrupt
from parfocal.client.rpcs import Page

Item = TypeVar("Item")


def every_item(page: Callable[[str], Page[Item]]) -> Iterator[Item]:
    """Yields the items of all pages, each asked for when it is reached."""
    token = ""
    while True:
        found = page(token)
        yield from found.items
        if not found.next_page_token:
            return
        token = _next(token, found)


async def every_item_async(page: Callable[[str], Awaitable[Page[Item]]]) -> AsyncIterator[Item]:
    """Yields the items of all pages, each asked for when it is reached."""
    token = ""
    while True:
        found = await page(token)
        for item in found.items:
            yield item
        if not found.next_page_token:
            return
        token = _next(token, found)


def _next(asked: str, found: Page[Item]) -> str:
    if not found.items or found.next_page_token == asked:
        raise Corrupt("the server sends a list that does not go on; ask again", reason="REPLY_REFUSED")
    return found.next_page_token
