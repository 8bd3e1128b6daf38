"""Every error that means "later" says when, and no other does."""

import importlib
import inspect
from typing import Any

import pytest

MODULES = [
    "parfocal.engine.errors",
    "parfocal.registry.errors",
    "parfocal.rpc.access.errors",
    "parfocal.rpc.errors",
    "parfocal.server.errors",
]
LATER = {"UNAVAILABLE", "RESOURCE_EXHAUSTED"}
# Trying again does not help: the same message is as large, and a full disk or namespace waits for somebody.
NEVER = {"MessageTooLarge", "RegistryFull", "QuotaExceeded"}


def kinds() -> list[type[Any]]:
    """Every error of ours that names a status; one that stands for any brings the hint that it was given."""
    found = [
        each
        for name in MODULES
        for _, each in inspect.getmembers(importlib.import_module(name), inspect.isclass)
    ]
    return sorted({each for each in found if hasattr(each, "status")}, key=lambda each: each.__qualname__)


@pytest.mark.parametrize("kind", kinds())
def test_whoever_is_told_to_come_later_is_told_when(kind: type[Any]) -> None:
    told = "retry_after_s" in inspect.signature(kind).parameters
    hints = told or getattr(kind, "retry_after_s", None) is not None

    assert hints is (kind.status in LATER and kind.__name__ not in NEVER)
