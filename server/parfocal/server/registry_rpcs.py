"""The registry's rpcs in a process: as a service of its wire, and what both bound."""

from parfocal.registry.faces.grpc import RegistryService
from parfocal.rpc import Service, WireServer
from parfocal.server.metrics import Usage
from parfocal.v1 import registry_service_pb2 as pb
from parfocal.v1 import registry_service_pb2_grpc as pb_grpc


def as_service(registry: RegistryService) -> Service:
    """The registry's rpcs as the wire opens them."""
    name = pb.DESCRIPTOR.services_by_name["RegistryService"].full_name
    return Service(pb_grpc.add_RegistryServiceServicer_to_server, registry, name, registry.rpcs)


def usage_of(wire: WireServer, registry: RegistryService) -> Usage:
    """How much of what the wire and the registry's rpcs bound is taken."""
    uploads = registry.uploads
    return Usage(
        rpcs=wire.rpcs,
        probes=wire.probes,
        registry_rpcs=registry.rpcs,
        uploads=uploads.running,
        staged_bytes=uploads.staged_bytes,
        slow_uploads=lambda: uploads.too_slow,
    )
