"""From a PEFT folder, or an upload, to a manifest whose files are stored."""

from parfocal.registry.publishing.beginning import BegunWeights
from parfocal.registry.publishing.checking import IsolatedCheck, check_here
from parfocal.registry.publishing.draft import Draft, draft
from parfocal.registry.publishing.publication import Publication, base_named_by
from parfocal.registry.publishing.ready import NOTHING_HELD, Check, Held
from parfocal.registry.publishing.receiving import MayHave, Receiving, Uploaded
from parfocal.registry.publishing.upload import Upload, fault_of_file, fault_of_files

__all__ = [
    "NOTHING_HELD",
    "BegunWeights",
    "Check",
    "Draft",
    "Held",
    "IsolatedCheck",
    "MayHave",
    "Publication",
    "Receiving",
    "Upload",
    "Uploaded",
    "base_named_by",
    "check_here",
    "draft",
    "fault_of_file",
    "fault_of_files",
]
