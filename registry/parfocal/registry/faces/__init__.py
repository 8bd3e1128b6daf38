"""The registry as others reach it. Light: each way of reaching it is a room of its own."""

from parfocal.registry.faces.limits import ServiceLimits

__all__ = [
    "ServiceLimits",
]
