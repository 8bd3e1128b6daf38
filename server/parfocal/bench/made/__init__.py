"""Random bases and adapters of a given shape, written and published like real ones."""

from parfocal.bench.made.adapters import write_adapter
from parfocal.bench.made.base import cached_base
from parfocal.bench.made.published import adapter_folders, publish_adapters, registry_folder

__all__ = ["adapter_folders", "cached_base", "publish_adapters", "registry_folder", "write_adapter"]
