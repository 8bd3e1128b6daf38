"""The metrics, and the pages that show them."""

from parfocal.server.metrics.endpoint import READY, MetricsEndpoint, split_address
from parfocal.server.metrics.registry_metrics import RegistryMetrics
from parfocal.server.metrics.residents import AdapterLister
from parfocal.server.metrics.server_metrics import ServerMetrics
from parfocal.server.metrics.usage import Usage

__all__ = [
    "READY",
    "AdapterLister",
    "MetricsEndpoint",
    "RegistryMetrics",
    "ServerMetrics",
    "Usage",
    "split_address",
]
