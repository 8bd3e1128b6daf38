"""What a remote registry refused, as the same error that a local one raises. Knows reasons, not rpcs."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from parfocal.registry.errors import RegistryError, kinds_of_error
from parfocal.rpc import Endpoint, RemoteError, explained, remote_error

_UNREACHABLE = "UNAVAILABLE"


@contextmanager
def registry_errors(endpoint: Endpoint | None = None) -> Iterator[None]:
    """Turns a failed rpc of its body into the RegistryError of its reason, otherwise RemoteError.

    Where the server at `endpoint` was not reached for reasons of TLS, that says why.
    """
    try:
        yield
    except grpc.RpcError as error:
        remote = remote_error(error)
        raise _same_error(remote if endpoint is None else explained(remote, endpoint)) from error


def _same_error(remote: RemoteError) -> RegistryError | RemoteError:
    kind = next((kind for kind in kinds_of_error().values() if kind.reason == remote.reason), None)
    if kind is None:
        return _explained(remote)
    error = kind(str(remote), field=remote.field)
    error.metadata = dict(remote.metadata)
    if remote.retry_after_s is not None:
        error.retry_after_s = remote.retry_after_s
    return error


def _explained(remote: RemoteError) -> RemoteError:
    """A status without one of our reasons comes from gRPC itself: no Parfocal server answered."""
    if remote.status != _UNREACHABLE or remote.reason != _UNREACHABLE:
        return remote
    message = f"no registry answers ({remote}); a server has one: parfocal serve"
    return RemoteError(message, remote.status, remote.reason, remote.metadata)
