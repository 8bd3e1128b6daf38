"""From a folder on disk to a resident base, and from that to an engine."""

from parfocal.engine.loading.base import Loading, load_base, load_quantised, quantisation_config
from parfocal.engine.loading.base_settings import SUPPORTED
from parfocal.engine.loading.build import build_engine
from parfocal.engine.loading.memory_plan import plan_memory

__all__ = [
    "SUPPORTED",
    "Loading",
    "build_engine",
    "load_base",
    "load_quantised",
    "plan_memory",
    "quantisation_config",
]
