"""A registry with two versions and an alias, for canaries to share."""

from collections.abc import Callable

import pytest

from parfocal.registry import CanaryPlan, Guard, GuardedMetric, Registry

PLAN = CanaryPlan(2, 1000, (Guard(GuardedMetric.ERRORS),))


@pytest.fixture
def shared_alias(any_registry: Registry, versions: Callable[[int], None]) -> Registry:
    """A registry of any kind whose `team/x@prod` points at version 1 of 3."""
    versions(3)
    any_registry.set_alias("team/x", "prod", 1, actor="ann")
    return any_registry
