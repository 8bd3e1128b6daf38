"""One run's settings as files, variables and flags give them, and as a run writes them down. No torch."""

from parfocal.training.settings.kinds import Kind, kinds
from parfocal.training.settings.resolution import PREFIX, Resolved, resolve_settings
from parfocal.training.settings.resolved import resolved_settings
from parfocal.training.settings.toml import settings_toml

__all__ = [
    "PREFIX",
    "Kind",
    "Resolved",
    "kinds",
    "resolve_settings",
    "resolved_settings",
    "settings_toml",
]
