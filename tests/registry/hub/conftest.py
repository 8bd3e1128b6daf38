"""A registry with two adapters, served to the Hub's own client.

pytest may read this before it sets where the client keeps things, which the client asks at its import.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fakes.registry.hub_server import Hub, hub
from fakes.registry.hub_shelf import REPO, Shelf, Write
from fakes.registry.tiny_adapters import write_tiny_adapter
from parfocal.registry import FolderRegistry, Publication

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@pytest.fixture(autouse=True)
def reachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client read at its import that tests are offline; these have a hub of their own."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def served(registry: FolderRegistry, tmp_path: Path) -> Iterator[Hub]:
    """An empty registry behind the Hub's protocol."""
    with hub(registry, tmp_path / "home") as server:
        yield server


@pytest.fixture
def api(served: Hub) -> "HfApi":
    from huggingface_hub import HfApi

    return HfApi(endpoint=served.endpoint, token=False)


@pytest.fixture
def invoices(
    registry: FolderRegistry, adapter: Callable[..., Path], publication: Publication
) -> tuple[Path, Path]:
    """The folders of two versions of `team/invoices`; `prod` points at the first."""
    first, second = adapter(fill=1), adapter(fill=2)
    registry.publish("team/invoices", first, publication)
    registry.publish("team/invoices", second, publication)
    registry.set_alias("team/invoices", "prod", 1)
    return first, second


@pytest.fixture
def tiny(tmp_path: Path) -> Write:
    """Returns a function that writes an adapter of the embedded base."""

    def write(fill: int = 1, **more: object) -> Path:
        return write_tiny_adapter(tmp_path / f"tiny-{fill}", fill, **more)  # type: ignore[arg-type]

    return write


@pytest.fixture
def repo(api: "HfApi") -> str:
    """An empty repository."""
    api.create_repo(REPO)
    return REPO


@pytest.fixture
def shelf(registry: FolderRegistry, served: Hub, api: "HfApi", repo: str) -> Shelf:
    return Shelf(registry, served, api)
