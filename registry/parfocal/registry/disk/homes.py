"""Where a user's own files go when nobody names a folder."""

import os
from pathlib import Path


def cache_home() -> Path:
    """Where what can be fetched again goes: `$XDG_CACHE_HOME/parfocal`, else `~/.cache/parfocal`."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(home) if home.startswith("/") else Path.home() / ".cache") / "parfocal"


def data_home() -> str:
    """Where what must stay goes: `$XDG_DATA_HOME/parfocal`, else `~/.local/share/parfocal`, not expanded."""
    home = os.environ.get("XDG_DATA_HOME", "")
    return f"{home if home.startswith('/') else '~/.local/share'}/parfocal"
