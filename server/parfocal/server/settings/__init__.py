"""Everything that `parfocal serve` can be told, and where each value comes from."""

from parfocal.server.settings.config import (
    DEFAULT_GRPC_ADDRESS,
    DEFAULT_REGISTRY,
    REGISTRY_SETTINGS,
    ServeConfig,
)
from parfocal.server.settings.folders import base_cache_folder, kept_folders
from parfocal.server.settings.resolution import Resolved, resolve_settings
from parfocal.server.settings.setting import Setting, Value, settings_of

__all__ = [
    "DEFAULT_GRPC_ADDRESS",
    "DEFAULT_REGISTRY",
    "REGISTRY_SETTINGS",
    "Resolved",
    "ServeConfig",
    "Setting",
    "Value",
    "base_cache_folder",
    "kept_folders",
    "resolve_settings",
    "settings_of",
]
