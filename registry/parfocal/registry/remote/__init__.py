"""A registry behind gRPC, used like a local one; trusts no byte that it has not verified."""

from parfocal.registry.remote.credentials import Credentials
from parfocal.registry.remote.followed import FollowedRegistry
from parfocal.registry.remote.registry import RemoteRegistry

__all__ = [
    "Credentials",
    "FollowedRegistry",
    "RemoteRegistry",
]
