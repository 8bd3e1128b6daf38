"""What commands do with any registry: open it, and name the actor. Knows no storage."""

import getpass
import socket

import typer

from parfocal.registry import StoredRegistry, open_registry


def registry_here(location: str) -> StoredRegistry:
    """Opens a registry whose storage this process can reach; any other is a usage error."""
    opened = open_registry(location, create=False)
    if not isinstance(opened, StoredRegistry):
        raise typer.BadParameter(
            f"{location} is not a folder; run this on its machine", param_hint="--registry"
        )
    return opened


def actor_or_me(actor: str | None) -> str:
    """Who moves an alias: the actor named, or this user at this machine."""
    if actor is not None:
        return actor
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name; OSError since Python 3.13
        user = "unknown"
    return f"{user}@{socket.gethostname()}"
