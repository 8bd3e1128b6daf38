"""What commands do with any registry: read long lists to the end, and name the actor. Knows no storage."""

import getpass
import socket
from collections.abc import Callable, Iterator
from typing import TypeVar

import typer

from parfocal.registry import Page, StoredRegistry, open_registry

_Item = TypeVar("_Item")


def every(page: Callable[[str], Page[_Item]]) -> Iterator[_Item]:
    """Yields the items of all pages; `page` gets the token of the page to read, first the empty one."""
    token = ""
    while True:
        found = page(token)
        yield from found.items
        token = found.next_page_token
        if not token:
            return


def registry_here(location: str) -> StoredRegistry:
    """Opens a registry whose storage this process can reach; any other is a usage error."""
    opened = open_registry(location, create=False)
    if not isinstance(opened, StoredRegistry):
        raise typer.BadParameter(
            f"{location} is not a folder; run this on its machine", param_hint="--registry"
        )
    return opened


def actor_or_me(actor: str | None) -> str:
    """Returns who moves an alias: the actor named, or this user at this machine."""
    if actor is not None:
        return actor
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name; OSError since Python 3.13
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
