"""What a registry without an engine shows to Prometheus. Knows no HTTP and no gRPC."""

from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, ProcessCollector

from parfocal.server.metrics.disks import DiskCollector
from parfocal.server.metrics.server_metrics import show_build_info
from parfocal.server.metrics.usage import Usage, UsageCollector


class RegistryMetrics:
    """The metrics of one registry's process: what is bounded, its disks and itself."""

    def __init__(self, usage: Usage, folders: Mapping[str, Path]) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        bounded, disks = UsageCollector(), DiskCollector()
        bounded.watch(usage)
        disks.watch(folders)
        self.registry.register(bounded)
        self.registry.register(disks)
        ProcessCollector(registry=self.registry)
        show_build_info(self.registry)
