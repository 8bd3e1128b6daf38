"""The server: settings, metrics and the gRPC faces around one engine.

Light on purpose: torch comes only with `parfocal.server.assembly`, so the command can show its help at once.
"""

from .config import DEFAULT_GRPC_ADDRESS, DEFAULT_REGISTRY, ServeConfig
from .errors import BadChat, BadRequest, BadSetting, ContractMismatch, NoChatTemplate, ServerError
from .setting import Setting, settings_of
from .settings import Resolved, resolve_settings

__all__ = [
    "DEFAULT_GRPC_ADDRESS",
    "DEFAULT_REGISTRY",
    "BadChat",
    "BadRequest",
    "BadSetting",
    "ContractMismatch",
    "NoChatTemplate",
    "Resolved",
    "ServeConfig",
    "ServerError",
    "Setting",
    "resolve_settings",
    "settings_of",
]
