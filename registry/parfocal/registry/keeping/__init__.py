"""What keeps a registry intact: garbage collection, verification, backups, and rebuilding a lost index."""

from parfocal.registry.keeping.copying import Copied, copy_registry
from parfocal.registry.keeping.garbage import Collection, Garbage, collect
from parfocal.registry.keeping.guard import check_all_of_index, check_index, check_nothing_is_lost
from parfocal.registry.keeping.history import verify_events, verify_history
from parfocal.registry.keeping.rebuilding import Rebuilt, plan, surviving
from parfocal.registry.keeping.seals import HistoryFault, HistoryVerification, Seal
from parfocal.registry.keeping.verification import BadBlob, Verification, every_event, verify

__all__ = [
    "BadBlob",
    "Collection",
    "Copied",
    "Garbage",
    "HistoryFault",
    "HistoryVerification",
    "Rebuilt",
    "Seal",
    "Verification",
    "check_all_of_index",
    "check_index",
    "check_nothing_is_lost",
    "collect",
    "copy_registry",
    "every_event",
    "plan",
    "surviving",
    "verify",
    "verify_events",
    "verify_history",
]
