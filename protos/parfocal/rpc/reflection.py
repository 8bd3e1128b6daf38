"""What reflection shows of the services: the rpcs that answer, and no others. Knows no service by name."""

from collections.abc import Iterable, Iterator, Mapping

from google.protobuf import descriptor_pool
from google.protobuf.descriptor import FileDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.rpc import error_details_pb2

from parfocal.rpc.surround import is_written

_KNOWN = descriptor_pool.Default()


def shown_descriptors(
    servicers: Mapping[str, object], others: Iterable[str]
) -> descriptor_pool.DescriptorPool:
    """The files of all these services, and of what statuses carry as their details.

    `servicers` are those of services by full name, shown without the rpcs that are not implemented; `others`
    are services that are shown whole. Names that no file declares are skipped.
    """
    pool = descriptor_pool.DescriptorPool()
    services = [found for name in (*servicers, *others) if (found := _service(name)) is not None]
    missing = {
        method.full_name
        for service in services
        if (servicer := servicers.get(service.full_name)) is not None
        for method in service.methods
        if not is_written(getattr(servicer, method.name, None))
    }
    seen: set[str] = set()
    for shown in (*(service.file for service in services), error_details_pb2.DESCRIPTOR):
        for file in _with_imports(shown, seen):
            pool.AddSerializedFile(_without(file, missing).SerializeToString())
    return pool


def rpcs_of(services: Iterable[str]) -> list[str]:
    """Every rpc of these services, as `package.Service/Method`; names that no file declares are skipped."""
    found = [service for name in services if (service := _service(name)) is not None]
    return [f"{service.full_name}/{method.name}" for service in found for method in service.methods]


def _service(name: str) -> ServiceDescriptor | None:
    try:
        return _KNOWN.FindServiceByName(name)
    except KeyError:
        return None


def _with_imports(file: FileDescriptor, seen: set[str]) -> Iterator[FileDescriptor]:
    """Yields what the file imports, in an order in which nothing is missing, then the file itself."""
    if file.name in seen:
        return
    seen.add(file.name)
    for imported in file.dependencies:
        yield from _with_imports(imported, seen)
    yield file


def _without(file: FileDescriptor, methods: set[str]) -> FileDescriptorProto:
    copy = FileDescriptorProto()
    file.CopyToProto(copy)
    for service in copy.service:
        name = f"{copy.package}.{service.name}"
        kept = [method for method in service.method if f"{name}.{method.name}" not in methods]
        del service.method[:]
        service.method.extend(kept)
    return copy
