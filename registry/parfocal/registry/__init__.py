"""The registry of adapters: immutable versions by content, and aliases that move with history.

It knows neither how adapters are trained nor how they are served, and never imports a tensor library.
"""

from parfocal.registry.bases import BaseFiles, describe_base, locate_base
from parfocal.registry.errors import (
    AdapterNotFound,
    AdapterRefused,
    AliasMoved,
    BaseUnreachable,
    DataLoss,
    GateRefused,
    HubRefused,
    IndexCorrupt,
    InvalidArgument,
    InvalidGate,
    InvalidKey,
    InvalidPublication,
    NotFound,
    NotSigned,
    RegistryError,
    RegistryTooNew,
    VersionNotFound,
)
from parfocal.registry.folder_keeping import back_up, rebuild_folder
from parfocal.registry.folder_registry import FolderRegistry
from parfocal.registry.gates import Gate, StandingGate, Verdict
from parfocal.registry.keeping import (
    BadBlob,
    Copied,
    Garbage,
    HistoryVerification,
    Rebuilt,
    Seal,
    Verification,
    verify_events,
)
from parfocal.registry.location import open_registry
from parfocal.registry.peft import read_peft_folder
from parfocal.registry.publishing import Publication
from parfocal.registry.registry import Registry
from parfocal.registry.shared_keeping import rebuild_shared
from parfocal.registry.shared_registry import SharedRegistry
from parfocal.registry.storage_address import StorageAddress, is_storage
from parfocal.registry.stored_registry import StoredRegistry
from parfocal.registry.values import (
    AdapterName,
    AdapterSummary,
    Alias,
    AliasMove,
    BaseContract,
    Contract,
    Difference,
    Evaluation,
    FileEntry,
    Manifest,
    MoveKind,
    Page,
    Provenance,
    Quantisation,
    Reference,
    Rendering,
    TargetModule,
    Version,
    every_item,
    printable,
)
from parfocal.registry.watching import Watch

__all__ = [
    "AdapterName",
    "AdapterNotFound",
    "AdapterRefused",
    "AdapterSummary",
    "Alias",
    "AliasMove",
    "AliasMoved",
    "BadBlob",
    "BaseContract",
    "BaseFiles",
    "BaseUnreachable",
    "Contract",
    "Copied",
    "DataLoss",
    "Difference",
    "Evaluation",
    "FileEntry",
    "FolderRegistry",
    "Garbage",
    "Gate",
    "GateRefused",
    "HistoryVerification",
    "HubRefused",
    "IndexCorrupt",
    "InvalidArgument",
    "InvalidGate",
    "InvalidKey",
    "InvalidPublication",
    "Manifest",
    "MoveKind",
    "NotFound",
    "NotSigned",
    "Page",
    "Provenance",
    "Publication",
    "Quantisation",
    "Rebuilt",
    "Reference",
    "Registry",
    "RegistryError",
    "RegistryTooNew",
    "Rendering",
    "Seal",
    "SharedRegistry",
    "StandingGate",
    "StorageAddress",
    "StoredRegistry",
    "TargetModule",
    "Verdict",
    "Verification",
    "Version",
    "VersionNotFound",
    "Watch",
    "back_up",
    "describe_base",
    "every_item",
    "is_storage",
    "locate_base",
    "open_registry",
    "printable",
    "read_peft_folder",
    "rebuild_folder",
    "rebuild_shared",
    "verify_events",
]
