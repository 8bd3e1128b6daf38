"""Files and folders that survive crashes and are shared between processes and users."""

from parfocal.registry.disk.durable import make_folder, sync_descriptor, sync_folder
from parfocal.registry.disk.errors import (
    disk_errors,
    forbidden,
    full,
    is_full,
    is_mounted_read_only,
    read_only,
)
from parfocal.registry.disk.file_state import FileState
from parfocal.registry.disk.folder_lock import FolderLock
from parfocal.registry.disk.homes import cache_home, data_home
from parfocal.registry.disk.modes import file_mode, give_to_owner, make_like, read_only_mode
from parfocal.registry.disk.patience import be_patient_until, patience
from parfocal.registry.disk.staging import Staging
from parfocal.registry.disk.syncing import SyncBehind

__all__ = [
    "FileState",
    "FolderLock",
    "Staging",
    "SyncBehind",
    "be_patient_until",
    "cache_home",
    "data_home",
    "disk_errors",
    "file_mode",
    "forbidden",
    "full",
    "give_to_owner",
    "is_full",
    "is_mounted_read_only",
    "make_folder",
    "make_like",
    "patience",
    "read_only",
    "read_only_mode",
    "sync_descriptor",
    "sync_folder",
]
