"""What a remote registry refused, as the same error that a local one raises. Knows reasons, not rpcs."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from parfocal.registry.errors import Overloaded, RegistryError, kinds_of_error
from parfocal.rpc import RemoteError, remote_error

_UNREACHABLE = "UNAVAILABLE"


@contextmanager
def registry_errors() -> Iterator[None]:
    """Turns a failed rpc of its body into the RegistryError of its reason, otherwise RemoteError."""
    try:
        yield
    except grpc.RpcError as error:
        raise _same_error(remote_error(error)) from error


def _same_error(remote: RemoteError) -> RegistryError | RemoteError:
    kind = next((kind for kind in kinds_of_error().values() if kind.reason == remote.reason), None)
    if kind is None:
        return _explained(remote)
    error = kind(str(remote), field=remote.field)
    error.metadata = dict(remote.metadata)
    if isinstance(error, Overloaded) and remote.retry_after_s is not None:
        error.retry_after_s = remote.retry_after_s
    return error


def _explained(remote: RemoteError) -> RemoteError:
    """A status without one of our reasons comes from gRPC itself: no Parfocal server answered."""
    if remote.status != _UNREACHABLE or remote.reason != _UNREACHABLE:
        return remote
    message = f"no registry answers ({remote}); a server has one: parfocal serve"
    return RemoteError(message, remote.status, remote.reason, remote.metadata)
