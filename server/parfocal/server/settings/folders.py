"""The folders that settings name by a word."""

from pathlib import Path

from parfocal.registry.disk import cache_home


def base_cache_folder(setting: str) -> Path | None:
    """Where `base_cache` keeps bases; None for nowhere."""
    if setting == "auto":
        return cache_home() / "bases"
    return Path(setting).expanduser() if setting else None
