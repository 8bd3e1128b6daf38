"""Opens a registry from what a user types: a folder, a server's address, or an index with its blobs."""

from pathlib import Path
from typing import TYPE_CHECKING

from parfocal.registry.errors import InvalidArgument
from parfocal.registry.folder_registry import FolderRegistry
from parfocal.registry.registry import Registry
from parfocal.registry.signing import NO_POLICY, SignaturePolicy
from parfocal.registry.storage_address import StorageAddress, is_storage

if TYPE_CHECKING:  # a registry in a folder needs no gRPC
    from parfocal.registry.remote import Credentials

_REMOTE = ("grpc://", "grpcs://")


def open_registry(
    location: str,
    *,
    create: bool = True,
    isolated: bool = False,
    credentials: "Credentials | None" = None,
    policy: SignaturePolicy = NO_POLICY,
) -> Registry:
    """The registry at `location`: a folder, `grpc://host:port`, or an index in a database with its blobs, as
    `postgresql://user@host/database?blobs=s3://bucket/prefix`. It is made when absent, unless `create` is
    false. If `isolated`, what is published there is checked in a process of its own, as becomes a server.
    What is changed through it is held to `policy`; a server holds its callers to its own.

    A server is shown `credentials`, without any those that the environment names. Raises InvalidArgument for
    a scheme that is not known, and what FolderRegistry and RemoteRegistry raise.
    """
    if location.startswith(_REMOTE):
        from parfocal.registry.remote import RemoteRegistry

        return RemoteRegistry(location, credentials=credentials)
    if is_storage(location):
        from parfocal.registry.shared_registry import SharedRegistry

        shared = SharedRegistry(StorageAddress.parse(location), create=create, isolated=isolated)
        shared.hold_to(policy)
        return shared
    if "://" in location:
        raise InvalidArgument(
            f"registry {location[:200]!a} is neither a folder nor grpc://host:port, nor grpcs:// for TLS, "
            "nor postgresql://user@host/database?blobs=s3://bucket/prefix",
            field="registry",
        )
    if not location:
        raise InvalidArgument("registry is empty; give a folder or grpc://host:port", field="registry")
    folder = FolderRegistry(Path(location).expanduser(), create=create, isolated=isolated)
    folder.hold_to(policy)
    return folder
