"""What the server refuses before or beside the engine. Knows no gRPC: `status` is a canonical code's name.

ServerError
├── BadSetting           INVALID_ARGUMENT      a setting's key is unknown or its value cannot be used
├── BadRequest           INVALID_ARGUMENT      a field of a message is missing or out of its range
├── ExportRefused        FAILED_PRECONDITION   a version cannot be written in the form asked for
└── ContractMismatch     FAILED_PRECONDITION   the adapter was made for another base
"""

from typing import ClassVar

from parfocal.engine import AdapterKey


class ServerError(Exception):
    """Root of everything the server raises on purpose."""

    status: ClassVar[str] = "INTERNAL"
    reason: ClassVar[str] = "SERVER_ERROR"

    def __init__(self, message: str, *, field: str | None = None, **metadata: str) -> None:
        super().__init__(message)
        self.field = field
        self.metadata = metadata


class BadSetting(ServerError):
    """A setting's key is unknown or its value cannot be used; the message names key, value and source."""

    status = "INVALID_ARGUMENT"
    reason = "BAD_SETTING"


class BadRequest(ServerError):
    """A field of a message is missing or out of its range; `field` is its path, such as `sampling.top_p`."""

    status = "INVALID_ARGUMENT"
    reason = "INVALID_REQUEST"


class ExportRefused(ServerError):
    """A version cannot be written in the form that was asked for; the message says what stands in the way."""

    status = "FAILED_PRECONDITION"
    reason = "EXPORT_REFUSED"


class ContractMismatch(ServerError):
    """The contract of `adapter` and the resident base differ; `metadata` holds the field and both values."""

    status = "FAILED_PRECONDITION"
    reason = "CONTRACT_MISMATCH"

    def __init__(self, message: str, *, adapter: AdapterKey, **metadata: str) -> None:
        super().__init__(message, **metadata)
        self.adapter = adapter
