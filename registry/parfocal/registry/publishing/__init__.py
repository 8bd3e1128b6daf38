"""From a PEFT folder, or an upload, to a manifest whose files are stored."""

from parfocal.registry.publishing.draft import Draft, draft, store
from parfocal.registry.publishing.publication import Publication, base_named_by
from parfocal.registry.publishing.upload import Upload, fault_of_files

__all__ = [
    "Draft",
    "Publication",
    "Upload",
    "base_named_by",
    "draft",
    "fault_of_files",
    "store",
]
