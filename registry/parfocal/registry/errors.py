"""What the registry refuses, and why. Knows no gRPC: `status` is a canonical code's name.

RegistryError
├── InvalidArgument            INVALID_ARGUMENT      a field of the call is out of its range
│   ├── InvalidName            …                     an adapter's name breaks the grammar
│   ├── InvalidAlias           …                     an alias breaks the grammar
│   ├── InvalidReference       …                     text after the name is no version, alias or digest
│   ├── InvalidDigest          …                     not sha256:<64 hex digits>
│   ├── InvalidPage            …                     page size or page token
│   ├── InvalidPublication     …                     provenance, evaluation or base cannot be recorded
│   ├── InvalidManifest        …                     what is to be recorded contradicts itself
│   ├── InvalidGate            …                     rules that no gate can have
│   ├── InvalidCanary          …                     a weight or a guard that no canary can have
│   ├── InvalidUpload          …                     an upload breaks its own announcement
│   ├── InvalidSignature       …                     a signature cannot be read, or is of something else
│   └── InvalidKey             …                     a file holds no key for signatures
├── NotFound                   NOT_FOUND
│   ├── AdapterNotFound
│   ├── VersionNotFound
│   ├── AliasNotFound
│   ├── GateNotFound
│   └── CanaryNotFound
├── AdapterRefused             FAILED_PRECONDITION   the folder cannot be published
│   ├── MalformedFile          INVALID_ARGUMENT      a file is truncated or contradicts itself
│   │   └── PickleRefused      …                     a file that would run code when opened
│   ├── UnsupportedAdapter     FAILED_PRECONDITION   it needs what serving does not do
│   └── ContractMismatch       FAILED_PRECONDITION   its tensors do not fit its configuration or base
├── BaseUnreachable            FAILED_PRECONDITION   the base's files cannot be read
│   └── BaseNotFetched         …                     the Hub did not answer, or was not asked
├── BaseUnsupported            FAILED_PRECONDITION   the base is stored in a form that is not served
├── HubRefused                 FAILED_PRECONDITION   the Hub did not give, or take, what was asked
├── AliasMoved                 FAILED_PRECONDITION   compare-and-swap lost
├── GateRefused                FAILED_PRECONDITION   a version does not meet the rules of an alias
├── GateMoved                  FAILED_PRECONDITION   alias or gate moved while the gate was asked
├── NothingToRollBack          FAILED_PRECONDITION   an alias has no earlier version
├── VersionInUse               FAILED_PRECONDITION   an alias points to it
├── AdapterInUse               FAILED_PRECONDITION   aliases point to its versions
├── TooManyAliases             FAILED_PRECONDITION   an adapter has as many aliases as it can
├── TooManySignatures          FAILED_PRECONDITION   a version has as many signatures as it can
├── NotSigned                  FAILED_PRECONDITION   no key that is trusted here has signed the version
├── UploadTooSlow              DEADLINE_EXCEEDED     an upload sent too little for too long
├── OffsetOutOfRange           OUT_OF_RANGE          a transfer is to go on where no byte is
├── BlobsNotUploaded           FAILED_PRECONDITION   files that are to be published are not there
├── Overloaded                 RESOURCE_EXHAUSTED    as much is under way as the server allows
│   ├── TooManyUploads         …
│   └── UploadsFull            …                     the bytes of all uploads together
├── QuotaExceeded              RESOURCE_EXHAUSTED    a namespace holds as much as it may
├── FilterIgnored              UNIMPLEMENTED         an older registry did not filter its list
├── EventUnknown               OUT_OF_RANGE          the history does not have this event
├── StorageError               UNAVAILABLE           the disk or the index did not answer
│   ├── RegistryReadOnly       FAILED_PRECONDITION   mounted read-only
│   ├── RegistryForbidden      FAILED_PRECONDITION   file permissions
│   ├── RegistryFull           RESOURCE_EXHAUSTED
│   ├── RegistryBusy           UNAVAILABLE           another process holds the registry too long
│   ├── IndexUnreachable       UNAVAILABLE           the index's server fell silent
│   ├── BlobsUnreachable       UNAVAILABLE           the store of blobs failed for too long
│   ├── NotARegistry           FAILED_PRECONDITION   the folder holds something else
│   └── RegistryTooNew         FAILED_PRECONDITION   written by a newer Parfocal
└── DataLoss                   DATA_LOSS
    ├── BlobCorrupt            …                     bytes do not have their digest
    ├── BlobMissing            …                     a published file is gone
    ├── ReplyRefused           …                     a remote registry answered something else
    ├── IndexCorrupt           …                     the index contradicts itself
    └── IndexLost              …                     the index is gone, or older than what lies beside it
"""

# size: one tree, read as a whole
from collections.abc import Iterator
from typing import ClassVar


class RegistryError(Exception):
    """Base of everything the registry raises on purpose."""

    status: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "REGISTRY_ERROR"
    # Seconds after which the same call may succeed; None where trying again does not help.
    retry_after_s: float | None = None

    def __init__(self, message: str, *, field: str | None = None, **metadata: str) -> None:
        super().__init__(message)
        self.field = field
        self.metadata = metadata


class InvalidArgument(RegistryError):
    """A field of the call is out of its range; `field` names it."""

    status = "INVALID_ARGUMENT"
    reason = "INVALID_ARGUMENT"


class InvalidName(InvalidArgument):
    """An adapter's name breaks the grammar."""

    reason = "INVALID_NAME"


class InvalidAlias(InvalidArgument):
    """An alias breaks the grammar, or is reserved."""

    reason = "INVALID_ALIAS"


class InvalidReference(InvalidArgument):
    """What follows the name is neither a version, an alias nor a digest."""

    reason = "INVALID_REFERENCE"


class InvalidDigest(InvalidArgument):
    """Not `sha256:` and 64 lower-case hexadecimal digits."""

    reason = "INVALID_DIGEST"


class InvalidPage(InvalidArgument):
    """A page size below zero, or a page token that this listing did not give."""

    reason = "INVALID_PAGE"


class InvalidPublication(InvalidArgument):
    """Provenance, evaluation or base description cannot be recorded as they are."""

    reason = "INVALID_PUBLICATION"


class InvalidManifest(InvalidArgument):
    """Bytes are no manifest of a schema that this Parfocal reads."""

    reason = "INVALID_MANIFEST"


class InvalidGate(InvalidArgument):
    """Rules that no gate can have, or that this Parfocal does not know."""

    reason = "INVALID_GATE"


class InvalidCanary(InvalidArgument):
    """A version, a weight or a guard that no canary can have, or that this Parfocal does not know."""

    reason = "INVALID_CANARY"


class InvalidUpload(InvalidArgument):
    """An upload broke what its own header announced, or went over a limit."""

    reason = "INVALID_UPLOAD"


class InvalidSignature(InvalidArgument):
    """A signature's bundle cannot be read, or is not of this version; it was not kept."""

    reason = "INVALID_SIGNATURE"


class InvalidKey(InvalidArgument):
    """A file holds no key that signatures are made or checked with."""

    reason = "INVALID_KEY"


class UploadTooSlow(RegistryError):
    """An upload sent less than the server expects in the time that it gives; nothing of it was kept."""

    status = "DEADLINE_EXCEEDED"
    reason = "UPLOAD_TOO_SLOW"


class OffsetOutOfRange(RegistryError):
    """A transfer is to go on where no byte is; an upload can at `received` in the metadata."""

    status = "OUT_OF_RANGE"
    reason = "OFFSET_OUT_OF_RANGE"


class BlobsNotUploaded(RegistryError):
    """Files that are to be published were not uploaded, or not kept any more; nothing was published."""

    status = "FAILED_PRECONDITION"
    reason = "BLOBS_NOT_UPLOADED"


class Overloaded(RegistryError):
    """The server does as much of this as it may; `retry_after_s` is a hint in seconds."""

    status = "RESOURCE_EXHAUSTED"
    reason = "OVERLOADED"

    def __init__(
        self, message: str, *, retry_after_s: float = 5.0, field: str | None = None, **metadata: str
    ) -> None:
        super().__init__(message, field=field, **metadata)
        self.retry_after_s = retry_after_s


class TooManyUploads(Overloaded):
    """As many uploads are under way as the server allows."""

    reason = "TOO_MANY_UPLOADS"


class UploadsFull(Overloaded):
    """The uploads under way have as many bytes as the server keeps for them."""

    reason = "UPLOADS_FULL"


class QuotaExceeded(RegistryError):
    """The namespace holds as many bytes or versions as its operator lets it; nothing was published."""

    status = "RESOURCE_EXHAUSTED"
    reason = "QUOTA_EXCEEDED"


class NotFound(RegistryError):
    """The thing that was named does not exist."""

    status = "NOT_FOUND"
    reason = "NOT_FOUND"


class AdapterNotFound(NotFound):
    """No adapter has this name."""

    reason = "ADAPTER_NOT_FOUND"


class VersionNotFound(NotFound):
    """The adapter has no such live version, or nothing has this digest."""

    reason = "VERSION_NOT_FOUND"


class AliasNotFound(NotFound):
    """The adapter has no such alias."""

    reason = "ALIAS_NOT_FOUND"


class GateNotFound(NotFound):
    """The alias carries no gate."""

    reason = "GATE_NOT_FOUND"


class CanaryNotFound(NotFound):
    """The alias has no canary."""

    reason = "CANARY_NOT_FOUND"


class AdapterRefused(RegistryError):
    """The folder cannot be published; nothing of it was kept."""

    status = "FAILED_PRECONDITION"
    reason = "ADAPTER_REFUSED"


class MalformedFile(AdapterRefused):
    """A file is truncated, oversized or contradicts itself."""

    status = "INVALID_ARGUMENT"
    reason = "MALFORMED_FILE"


class PickleRefused(MalformedFile):
    """A file is a pickle, which runs code when it is opened; only safetensors are accepted."""

    reason = "PICKLE_REFUSED"


class UnsupportedAdapter(AdapterRefused):
    """The adapter needs something that serving does not do; `field` names what."""

    reason = "UNSUPPORTED_ADAPTER"


class ContractMismatch(AdapterRefused):
    """Tensors do not fit the configuration or the base; `field` names what differs."""

    reason = "CONTRACT_MISMATCH"


class BaseUnreachable(RegistryError):
    """The base's configuration or tokenizer files cannot be read."""

    status = "FAILED_PRECONDITION"
    reason = "BASE_UNREACHABLE"


class BaseNotFetched(BaseUnreachable):
    """The Hub did not answer, or could not be asked: it may give the base the next time."""


class BaseUnsupported(RegistryError):
    """The base's weights are stored in a form that is not served; the message names it."""

    status = "FAILED_PRECONDITION"
    reason = "BASE_UNSUPPORTED"


class HubRefused(RegistryError):
    """The Hub did not give, or take, what was asked: no such repository, no right to it, or no answer."""

    status = "FAILED_PRECONDITION"
    reason = "HUB_REFUSED"


class AliasMoved(RegistryError):
    """The alias does not point where the caller expected; it was not moved."""

    status = "FAILED_PRECONDITION"
    reason = "ALIAS_MOVED"


class GateRefused(RegistryError):
    """The version does not meet every rule that the alias carries; it was not moved."""

    status = "FAILED_PRECONDITION"
    reason = "GATE_REFUSED"


class GateMoved(RegistryError):
    """The alias or its gate was moved while the gate was asked, again and again; nothing was done."""

    status = "FAILED_PRECONDITION"
    reason = "GATE_MOVED"


class NothingToRollBack(RegistryError):
    """The alias has no earlier live version to go back to."""

    status = "FAILED_PRECONDITION"
    reason = "NOTHING_TO_ROLL_BACK"


class VersionInUse(RegistryError):
    """An alias points to the version, so it is not deleted."""

    status = "FAILED_PRECONDITION"
    reason = "VERSION_IN_USE"


class AdapterInUse(RegistryError):
    """Aliases point to versions of the adapter, so it is not deleted."""

    status = "FAILED_PRECONDITION"
    reason = "ADAPTER_IN_USE"


class FilterIgnored(RegistryError):
    """A remote registry is older than a filter, and listed what was not asked for; nothing of it was used."""

    status = "UNIMPLEMENTED"
    reason = "FILTER_IGNORED"


class EventUnknown(RegistryError):
    """A watch cannot go on where it should: the index was restored or rebuilt, and its history is another."""

    status = "OUT_OF_RANGE"
    reason = "EVENT_UNKNOWN"


class TooManyAliases(RegistryError):
    """The adapter has as many aliases as its callers can be told of; no other was made."""

    status = "FAILED_PRECONDITION"
    reason = "TOO_MANY_ALIASES"


class TooManySignatures(RegistryError):
    """The version has as many signatures as its callers can be told of; no other was kept."""

    status = "FAILED_PRECONDITION"
    reason = "TOO_MANY_SIGNATURES"


class NotSigned(RegistryError):
    """No key that is trusted here has signed the version, and one must have; nothing was done with it."""

    status = "FAILED_PRECONDITION"
    reason = "NOT_SIGNED"


class StorageError(RegistryError):
    """The disk or the index did not do what was asked."""

    status = "UNAVAILABLE"
    reason = "STORAGE_ERROR"
    retry_after_s: float | None = 2.0


class RegistryReadOnly(StorageError):
    """The registry's folder is on a medium that cannot be written."""

    status = "FAILED_PRECONDITION"
    reason = "REGISTRY_READ_ONLY"
    retry_after_s = None


class RegistryForbidden(StorageError):
    """This user may not read or write a file of the registry."""

    status = "FAILED_PRECONDITION"
    reason = "REGISTRY_FORBIDDEN"
    retry_after_s = None


class RegistryFull(StorageError):
    """No space (or quota) is left for what was to be written; nothing of it was kept."""

    status = "RESOURCE_EXHAUSTED"
    reason = "REGISTRY_FULL"
    retry_after_s = None  # until somebody makes room


class RegistryBusy(StorageError):
    """Another process held the registry for too long; the same call may succeed later."""

    reason = "REGISTRY_BUSY"


class IndexUnreachable(StorageError):
    """The index's server fell silent: a change that was under way may have been made, or not."""

    reason = "INDEX_UNREACHABLE"


class BlobsUnreachable(StorageError):
    """The store of blobs failed for longer than is waited for it; the same call may succeed later."""

    reason = "BLOBS_UNREACHABLE"


class NotARegistry(StorageError):
    """The folder holds something that is not a registry."""

    status = "FAILED_PRECONDITION"
    reason = "NOT_A_REGISTRY"
    retry_after_s = None


class RegistryTooNew(StorageError):
    """The registry, or a manifest in it, was written by a newer Parfocal."""

    status = "FAILED_PRECONDITION"
    reason = "REGISTRY_TOO_NEW"
    retry_after_s = None


class DataLoss(RegistryError):
    """Something that was published is no longer whole."""

    status = "DATA_LOSS"
    reason = "DATA_LOSS"


class BlobCorrupt(DataLoss):
    """Stored or received bytes do not have the digest they were published with."""

    reason = "BLOB_CORRUPT"


class BlobMissing(DataLoss):
    """A file of a published version is gone from the store."""

    reason = "BLOB_MISSING"


class ReplyRefused(DataLoss):
    """A remote registry's reply is not about what it was asked, or is nothing that a registry says."""

    reason = "REPLY_REFUSED"


class IndexCorrupt(DataLoss):
    """The index is damaged or contradicts itself."""

    reason = "INDEX_CORRUPT"


class IndexLost(DataLoss):
    """The index is gone, empty or older than the blobs and the journal beside it; nothing was changed."""

    reason = "INDEX_LOST"


def kinds_of_error() -> dict[str, type[RegistryError]]:
    """Every class of this file by its name."""
    return {kind.__name__: kind for kind in _kinds(RegistryError)}


def _kinds(kind: type[RegistryError]) -> Iterator[type[RegistryError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _kinds(narrower)
