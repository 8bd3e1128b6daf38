"""Small bases, adapters and registries for the tests of the registry."""

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.peft_folders import Adapter, write_adapter, write_base
from parfocal.registry import BaseContract, FolderRegistry, Publication, describe_base, locate_base

Publish = Callable[..., object]


@pytest.fixture
def base(tmp_path: Path) -> BaseContract:
    return describe_base(locate_base(str(write_base(tmp_path / "small-base")), weights=False))


@pytest.fixture
def publication(base: BaseContract) -> Publication:
    return Publication(base)


@pytest.fixture
def adapter(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes an adapter with these fields and returns its folder."""

    def write(**fields: object) -> Path:
        count = len(list(tmp_path.glob("adapter-*")))
        return write_adapter(tmp_path / f"adapter-{count}", Adapter(**fields))  # type: ignore[arg-type]

    return write


@pytest.fixture
def registry(tmp_path: Path) -> FolderRegistry:
    return FolderRegistry(tmp_path / "registry")
