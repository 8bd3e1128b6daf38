"""The versions behind this server: its own, Python's, and those of the libraries that affect results."""

import platform
from importlib.metadata import PackageNotFoundError, version

_LIBRARIES = ("torch", "transformers", "bitsandbytes")


def build_info() -> dict[str, str]:
    """Each part's version."""
    own = {"version": package_version("parfocal"), "python": platform.python_version()}
    return own | {name: package_version(name) for name in _LIBRARIES}


def package_version(distribution: str) -> str:
    """An installed distribution's version, or `unknown` where it runs from source uninstalled."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "unknown"
