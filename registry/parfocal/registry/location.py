"""Opens a registry from what a user types: a folder's path or `grpc://host:port`."""

from pathlib import Path

from parfocal.registry.errors import InvalidArgument
from parfocal.registry.folder_registry import FolderRegistry
from parfocal.registry.registry import Registry

_GRPC = "grpc://"


def open_registry(location: str, *, create: bool = True, isolated: bool = False) -> Registry:
    """The registry at `location`; a folder is made when absent, unless `create` is false. If `isolated`,
    what is published there is checked in a process of its own, as becomes a server.

    Raises InvalidArgument for a scheme that is not known, and what FolderRegistry raises.
    """
    if location.startswith(_GRPC):
        # Imported only here: a registry in a folder needs no gRPC.
        from parfocal.registry.remote import RemoteRegistry

        return RemoteRegistry(location)
    if "://" in location:
        raise InvalidArgument(
            f"registry {location[:200]!a} is neither a folder nor grpc://host:port", field="registry"
        )
    if not location:
        raise InvalidArgument("registry is empty; give a folder or grpc://host:port", field="registry")
    return FolderRegistry(Path(location).expanduser(), create=create, isolated=isolated)
