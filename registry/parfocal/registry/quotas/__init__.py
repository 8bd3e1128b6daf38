"""Quotas: how many bytes and versions the adapters of a namespace may have together. Values only."""

from parfocal.registry.quotas.quota import NO_QUOTA, NO_QUOTAS, NamespaceUse, Quota, Quotas

__all__ = ["NO_QUOTA", "NO_QUOTAS", "NamespaceUse", "Quota", "Quotas"]
