"""A watch of a registry behind gRPC."""

from collections.abc import Iterator

import grpc

from parfocal.registry.values import Event
from parfocal.registry.wire import read_event, registry_errors
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1.registry_service_pb2_grpc import RegistryServiceStub


class RemoteWatch:
    """A watch that has begun: what happens from now on is not missed.

    `registry` keeps the stub's channel open while it lives. Raises EventUnknown, or RemoteError when the
    server cannot be reached.
    """

    def __init__(self, registry: object, stub: RegistryServiceStub, name: str, after: int | None) -> None:
        self._registry = registry
        self._is_closed = False
        self._call = stub.Watch(pb.WatchRequest(name=name, after_sequence=after))
        self._replies = iter(self._call)
        with registry_errors():
            self._begins_after: int = next(self._replies, pb.WatchResponse()).sequence

    @property
    def begins_after(self) -> int:
        return self._begins_after

    def close(self) -> None:
        self._is_closed = True
        self._call.cancel()  # type: ignore[no-untyped-call]  # the stubs leave it bare

    def __iter__(self) -> Iterator[Event]:
        with registry_errors():
            try:
                yield from filter(None, map(read_event, self._replies))
            except grpc.RpcError:
                if not self._is_closed:
                    raise
