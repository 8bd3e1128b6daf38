"""From the commits of the Hub's clients to one version: what has come waits until nothing is missing."""

from parfocal.registry.faces.hub.uploading.commit_lines import CommitLines
from parfocal.registry.faces.hub.uploading.drafts import Announced, Draft
from parfocal.registry.faces.hub.uploading.kept import check_is_adapter, checked_path, is_kept, told_ignored
from parfocal.registry.faces.hub.uploading.objects import Arrival, Tickets
from parfocal.registry.faces.hub.uploading.published import Branch, Outcome, Publisher, Uploader
from parfocal.registry.faces.hub.uploading.store import UploadStore, key_of

__all__ = [
    "Announced",
    "Arrival",
    "Branch",
    "CommitLines",
    "Draft",
    "Outcome",
    "Publisher",
    "Tickets",
    "UploadStore",
    "Uploader",
    "check_is_adapter",
    "checked_path",
    "is_kept",
    "key_of",
    "told_ignored",
]
