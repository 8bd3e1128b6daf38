"""What this face refuses besides what the registry does. By `code` the Hub's clients choose an exception.

HubError
├── RepoUnknown         NOT_FOUND             nobody has published or created it
├── RevisionUnknown     NOT_FOUND             it has no such commit, branch or tag
├── EntryUnknown        NOT_FOUND             the revision has no such file
├── RouteUnknown        NOT_FOUND             a path that is not served
├── RepoExists          ALREADY_EXISTS        it was created or published before
├── RefExists           ALREADY_EXISTS        a branch or tag has this name
├── ParentMoved         ABORTED               a commit came first
├── UploadsMixed        ABORTED               another upload into the repository began meanwhile
├── BadCall             INVALID_ARGUMENT      a field of the call is out of its range
├── AmbiguousLength     INVALID_ARGUMENT      two servers could read the head in two ways
├── NotKept             FAILED_PRECONDITION   what versions cannot hold
├── BodyTooLarge        OUT_OF_RANGE          a body with more bytes than are read at once
└── RangeBeyond         OUT_OF_RANGE          bytes that the file does not have
"""

from collections.abc import Mapping
from typing import ClassVar

from parfocal.registry.errors import RegistryError


class HubError(RegistryError):
    """Base of what this face raises itself."""

    reason = "HUB_ERROR"
    code: ClassVar[str] = ""


class RepoUnknown(HubError):
    """No such repository."""

    status = "NOT_FOUND"
    reason = "REPO_NOT_FOUND"
    code = "RepoNotFound"


class RevisionUnknown(HubError):
    """The repository has no such commit, branch or tag."""

    status = "NOT_FOUND"
    reason = "REVISION_NOT_FOUND"
    code = "RevisionNotFound"


class EntryUnknown(HubError):
    """The revision has no such file; `commit` is what it was looked for in, so that clients remember that."""

    status = "NOT_FOUND"
    reason = "ENTRY_NOT_FOUND"
    code = "EntryNotFound"

    def __init__(self, message: str, commit: str = "") -> None:
        super().__init__(message)
        self.headers = {"x-repo-commit": commit} if commit else {}


class RouteUnknown(HubError):
    """This path, or this method of it, is not served."""

    status = "NOT_FOUND"
    reason = "ROUTE_UNKNOWN"


class RepoExists(HubError):
    """The repository is there; clients read its `url` and go on if they may."""

    status = "ALREADY_EXISTS"
    reason = "REPO_EXISTS"

    def __init__(self, message: str, url: str) -> None:
        super().__init__(message)
        self.url = url


class RefExists(HubError):
    """A branch or tag of this name is there."""

    status = "ALREADY_EXISTS"
    reason = "REF_EXISTS"


class ParentMoved(HubError):
    """A commit names a parent that is no longer the newest."""

    status = "ABORTED"
    reason = "PARENT_MOVED"


class UploadsMixed(HubError):
    """A file is not of the upload that is under way."""

    status = "ABORTED"
    reason = "UPLOADS_MIXED"


class BadCall(HubError):
    """A field of the call is out of its range; `field` names it."""

    status = "INVALID_ARGUMENT"
    reason = "BAD_CALL"


class AmbiguousLength(HubError):
    """Two servers could read the head in two ways; the connection cannot go on."""

    status = "INVALID_ARGUMENT"
    reason = "AMBIGUOUS_LENGTH"
    headers: ClassVar[Mapping[str, str]] = {"connection": "close"}


class NotKept(HubError):
    """Versions cannot hold or lose what the call says."""

    status = "FAILED_PRECONDITION"
    reason = "NOT_KEPT"


class BodyTooLarge(HubError):
    """The body has more bytes than are read at once."""

    status = "OUT_OF_RANGE"
    reason = "BODY_TOO_LARGE"


class RangeBeyond(HubError):
    """The file does not have the bytes that were asked for."""

    status = "OUT_OF_RANGE"
    reason = "RANGE_BEYOND"

    def __init__(self, message: str, size: int) -> None:
        super().__init__(message)
        self.headers = {"content-range": f"bytes */{size}"}
