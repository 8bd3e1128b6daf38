"""Adapters of the Hub: fetched at one commit and verified, and versions pushed to it with their card."""

from parfocal.registry.hub.failures import hub_failures
from parfocal.registry.hub.fetching import HubAdapter, fetch_adapter
from parfocal.registry.hub.pushing import Pushed, Pushing, push_version
from parfocal.registry.hub.reference import HubReference

__all__ = [
    "HubAdapter",
    "HubReference",
    "Pushed",
    "Pushing",
    "fetch_adapter",
    "hub_failures",
    "push_version",
]
