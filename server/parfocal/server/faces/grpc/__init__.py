"""InferenceService over gRPC."""

from parfocal.server.faces.grpc.model import describe_model
from parfocal.server.faces.grpc.service import InferenceService, ServiceParts

__all__ = [
    "InferenceService",
    "ServiceParts",
    "describe_model",
]
