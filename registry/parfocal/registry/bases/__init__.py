"""Finds a base and describes it as adapters are bound to it, from its small files alone."""

from parfocal.registry.bases.description import describe_base
from parfocal.registry.bases.files import BaseFiles, locate_base, locate_shared_base
from parfocal.registry.bases.shapes import check_module

__all__ = [
    "BaseFiles",
    "check_module",
    "describe_base",
    "locate_base",
    "locate_shared_base",
]
