"""The server: settings, metrics and the gRPC faces around one engine.

Light on purpose: only `parfocal.server.assembly` and `parfocal.server.exports` import torch, so the command
shows its help immediately.
"""

from parfocal.server.build_info import build_info, package_version
from parfocal.server.errors import (
    BadRequest,
    BadSetting,
    ContractMismatch,
    ServerError,
)
from parfocal.server.log_lines import log_to_stderr
from parfocal.server.refusals import refuses_settings
from parfocal.server.settings import (
    DEFAULT_GRPC_ADDRESS,
    DEFAULT_REGISTRY,
    Resolved,
    ServeConfig,
    Setting,
    resolve_settings,
    settings_of,
)
from parfocal.server.supervisor import Supervisor, supervised

__all__ = [
    "DEFAULT_GRPC_ADDRESS",
    "DEFAULT_REGISTRY",
    "BadRequest",
    "BadSetting",
    "ContractMismatch",
    "Resolved",
    "ServeConfig",
    "ServerError",
    "Setting",
    "Supervisor",
    "build_info",
    "log_to_stderr",
    "package_version",
    "refuses_settings",
    "resolve_settings",
    "settings_of",
    "supervised",
]
