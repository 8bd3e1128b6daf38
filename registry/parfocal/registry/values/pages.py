"""Pages of a long list, and the opaque tokens that lead from one to the next. Knows no list by name."""

import base64
import binascii
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from parfocal.registry.errors import InvalidPage, ReplyRefused
from parfocal.registry.values.canonical_json import InvalidJson, dumps, loads
from parfocal.v1.limits import PAGE_ITEMS, PAGE_TOKEN_CHARACTERS

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = PAGE_ITEMS.most
# More than anybody has of anything: a longer list never ends.
_MAX_ITEMS = 1_000_000

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """A part of a list; `next_page_token` is empty on the last one."""

    items: tuple[Item, ...]
    next_page_token: str = ""


def checked_page_size(page_size: int) -> int:
    """How many items a page has: 0 means 100, above 1000 means 1000 (AIP-158); raises InvalidPage."""
    if page_size < 0:
        raise InvalidPage(
            f"page_size is {page_size}; give 0 for {DEFAULT_PAGE_SIZE}, or more", field="page_size"
        )
    return min(page_size or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def page_token(listing: str, last: str) -> str:
    """The token for what follows the item with key `last` in `listing`."""
    return base64.urlsafe_b64encode(dumps([listing, last])).decode().rstrip("=")


def key_in(token: str, listing: str) -> str:
    """The key that a token of `listing` holds, "" for the first page; raises InvalidPage."""
    if not token:
        return ""
    if len(token) > PAGE_TOKEN_CHARACTERS.most:
        raise InvalidPage(
            f"page_token has {len(token)} characters, and no listing gives more than "
            f"{PAGE_TOKEN_CHARACTERS.most}; begin again without one",
            field="page_token",
        )
    try:
        value = loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, InvalidJson, ValueError) as error:
        raise _refused(token) from error
    if not isinstance(value, Sequence) or len(value) != 2:
        raise _refused(token)
    owner, last = value
    if owner != listing or not isinstance(last, str):
        raise _refused(token)
    return last


def every_item(page: Callable[[str], Page[Item]]) -> Iterator[Item]:
    """The items of all pages, where `page` gets the token of the one to read; raises ReplyRefused."""
    token, count = "", 0
    last: tuple[Item, ...] = ()
    while True:
        found = page(token)
        if last and found.items[-1:] == last:
            raise ReplyRefused("the registry sends one page again and again; ask another one")
        yield from found.items
        token, count, last = found.next_page_token, count + len(found.items), found.items[-1:]
        if not token:
            return
        if count > _MAX_ITEMS:
            raise ReplyRefused(f"the registry's list goes on after {_MAX_ITEMS} items; ask another one")


def _refused(token: str) -> InvalidPage:
    return InvalidPage(
        f"page_token {token[:40]!a} was not given by this listing; begin again without one",
        field="page_token",
    )
