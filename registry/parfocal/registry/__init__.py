"""The registry of adapters: immutable versions by content, and aliases that move with history.

It knows neither how adapters are trained nor how they are served, and never imports a tensor library.
"""

from parfocal.registry.base_contract import describe_base
from parfocal.registry.base_files import BaseFiles, locate_base
from parfocal.registry.contract import BaseContract, Contract, Difference, Quantisation, TargetModule
from parfocal.registry.errors import RegistryError
from parfocal.registry.folder_registry import FolderRegistry
from parfocal.registry.garbage import Garbage
from parfocal.registry.location import open_registry
from parfocal.registry.manifest import FileEntry, Manifest
from parfocal.registry.names import AdapterName
from parfocal.registry.pages import Page
from parfocal.registry.peft_folder import read_peft_folder
from parfocal.registry.provenance import Evaluation, Provenance
from parfocal.registry.publication import Publication
from parfocal.registry.records import AdapterSummary, Alias, AliasMove, MoveKind, Version
from parfocal.registry.reference import Reference
from parfocal.registry.registry import Registry
from parfocal.registry.remote import RemoteRegistry

__all__ = [
    "AdapterName",
    "AdapterSummary",
    "Alias",
    "AliasMove",
    "BaseContract",
    "BaseFiles",
    "Contract",
    "Difference",
    "Evaluation",
    "FileEntry",
    "FolderRegistry",
    "Garbage",
    "Manifest",
    "MoveKind",
    "Page",
    "Provenance",
    "Publication",
    "Quantisation",
    "Reference",
    "Registry",
    "RegistryError",
    "RemoteRegistry",
    "TargetModule",
    "Version",
    "describe_base",
    "locate_base",
    "open_registry",
    "read_peft_folder",
]
