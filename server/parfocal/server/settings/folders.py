"""The folders that settings name, in words or as paths."""

from pathlib import Path

from parfocal.registry.disk import cache_home


def base_cache_folder(setting: str) -> Path | None:
    """Where `base_cache` keeps bases; None for nowhere."""
    if setting == "auto":
        return cache_home() / "bases"
    return Path(setting).expanduser() if setting else None


def kept_folders(registry: str, base_cache: str) -> dict[str, Path]:
    """Where a server keeps what grows, by what it is."""
    is_remote = "://" in registry
    folders = {"copies": cache_home()} if is_remote else {"registry": Path(registry).expanduser()}
    bases = base_cache_folder(base_cache)
    return folders if bases is None else {**folders, "bases": bases}
