"""A registry with one repository, as tests of uploads look at it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fakes.registry.hub_server import Hub
from parfocal.registry import AdapterNotFound, FolderRegistry

if TYPE_CHECKING:
    from huggingface_hub import HfApi

REPO = "team/new"
# The files of commits that are being received, in the home of the Hub's face.
RECEIVING = str(Path("*", "work", "*"))
Write = Callable[..., Path]


@dataclass(frozen=True)
class Shelf:
    """The registry, in which the repository is empty, and how it is reached."""

    registry: FolderRegistry
    served: Hub
    api: "HfApi"

    @property
    def is_untouched(self) -> bool:
        """Whether nothing was published, and nothing waits."""
        return (versions(self.registry), staged(self.api)) == ([], [])


def versions(registry: FolderRegistry) -> list[int]:
    """The numbers of the repository's versions, the newest first."""
    try:
        return [version.version for version in registry.versions(REPO).items]
    except AdapterNotFound:
        return []


def staged(api: "HfApi") -> list[dict[str, object]]:
    """What waits in the repository."""
    found = api.model_info(REPO).parfocal["staged"]  # type: ignore[attr-defined]
    assert isinstance(found, list)
    return found
