"""RegistryService: any registry over gRPC."""

from parfocal.registry.faces.grpc.service import RegistryService

__all__ = [
    "RegistryService",
]
