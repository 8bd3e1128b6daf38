"""What a remote registry refused, as the same error that a local one raises. Knows reasons, not rpcs."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc

from parfocal.registry.errors import RegistryError
from parfocal.rpc import RemoteError, remote_error


@contextmanager
def registry_errors() -> Iterator[None]:
    """Runs its body; a failed rpc leaves it as the RegistryError of its reason, else as RemoteError."""
    try:
        yield
    except grpc.RpcError as error:
        raise _same_error(remote_error(error)) from error


def _same_error(remote: RemoteError) -> RegistryError | RemoteError:
    kind = next((kind for kind in _kinds(RegistryError) if kind.reason == remote.reason), None)
    if kind is None:
        return remote
    error = kind(str(remote), field=remote.field)
    error.metadata = dict(remote.metadata)
    return error


def _kinds(kind: type[RegistryError]) -> Iterator[type[RegistryError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)
