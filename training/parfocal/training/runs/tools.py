"""Which releases of which tools make an adapter."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version

_TOOLS = ("parfocal", "torch", "transformers", "peft", "trl", "bitsandbytes", "tokenizers")


def tool_versions() -> dict[str, str]:
    """The releases in use by tool, without those that are not installed as packages."""
    found = {}
    for tool in _TOOLS:
        with suppress(PackageNotFoundError):
            found[tool] = version(tool)
    return found
